#include "tflm_kernels/portable/c_api.h"

#include "tflm_kernels/portable/ops/add.h"
#include "tflm_kernels/portable/ops/average_pool2d.h"
#include "tflm_kernels/portable/ops/conv2d.h"
#include "tflm_kernels/portable/ops/depthwise_conv2d.h"
#include "tflm_kernels/portable/ops/fully_connected.h"
#include "tflm_kernels/portable/ops/lut.h"
#include "tflm_kernels/portable/ops/max_pool2d.h"
#include "tflm_kernels/portable/ops/requantize.h"
#include "tflm_kernels/portable/stage/read_program.h"
#include "tflm_kernels/portable/stage/run.h"
#include "tflm_kernels/portable/stage/stored_map.h"

namespace {

// The structs hold nothing but int32, so an array of the right length has their layout.
template <typename Struct, int kWords>
const Struct& Words(const int32_t* words) {
  static_assert(sizeof(Struct) == kWords * sizeof(int32_t), "c_api.h documents another length");
  return *reinterpret_cast<const Struct*>(words);
}

template <typename Kernel, typename Params>
void RunWithTable(Kernel* kernel, const Params& params, const uint8_t* input, const uint8_t* filter,
                  const int32_t* table, uint8_t* output) {
  kernel(params, input, filter, quantmcu::ChannelTableOf(table, params.output.channels), output,
         nullptr);
}

bool Read(const int32_t* header, const int32_t* program, int32_t num_words, const uint8_t* filters,
          int32_t num_filter_bytes, quantmcu::PatchStageParams* params, QuantMcuStageError* error) {
  quantmcu::StageError reason = {};
  const bool is_read = quantmcu::ReadPatchStageProgram(
      Words<quantmcu::PatchStageHeader, 10>(header), program, num_words, filters, num_filter_bytes,
      quantmcu::reference::kKernels, params, &reason);
  if (!is_read) *error = {reason.item, reason.index, reason.message, reason.found};
  return is_read;
}

}  // namespace

void QuantMcuMultiply(const int32_t* x, int32_t count, int32_t multiplier, int32_t shift,
                      int32_t* y) {
  for (int32_t i = 0; i < count; ++i) y[i] = quantmcu::Multiply(x[i], {multiplier, shift});
}

void QuantMcuLoadValues(const uint8_t* run, int32_t count, int32_t bits, int32_t* values) {
  for (int32_t i = 0; i < count; ++i) values[i] = quantmcu::LoadValue(run, i, bits);
}

void QuantMcuStoreValues(const int32_t* values, int32_t count, int32_t bits, uint8_t* run) {
  for (int32_t i = 0; i < count; ++i) quantmcu::StoreValue(run, i, bits, values[i]);
}

void QuantMcuConv2D(const int32_t* params, const uint8_t* input, const uint8_t* filter,
                    const int32_t* table, uint8_t* output) {
  RunWithTable(quantmcu::reference::Conv2D, Words<quantmcu::Conv2DParams, 23>(params), input,
               filter, table, output);
}

void QuantMcuDepthwiseConv2D(const int32_t* params, const uint8_t* input, const uint8_t* filter,
                             const int32_t* table, uint8_t* output) {
  RunWithTable(quantmcu::reference::DepthwiseConv2D,
               Words<quantmcu::DepthwiseConv2DParams, 24>(params), input, filter, table, output);
}

void QuantMcuFullyConnected(const int32_t* params, const uint8_t* input, const uint8_t* filter,
                            const int32_t* table, uint8_t* output) {
  RunWithTable(quantmcu::reference::FullyConnected,
               Words<quantmcu::FullyConnectedParams, 15>(params), input, filter, table, output);
}

void QuantMcuAdd(const int32_t* params, const uint8_t* input0, const uint8_t* input1,
                 uint8_t* output) {
  quantmcu::reference::Add(Words<quantmcu::AddParams, 26>(params), input0, input1, output);
}

void QuantMcuAveragePool2D(const int32_t* params, const uint8_t* input, uint8_t* output) {
  quantmcu::reference::AveragePool2D(Words<quantmcu::Pool2DParams, 24>(params), input, output);
}

void QuantMcuMaxPool2D(const int32_t* params, const uint8_t* input, uint8_t* output) {
  quantmcu::reference::MaxPool2D(Words<quantmcu::Pool2DParams, 24>(params), input, output);
}

void QuantMcuRequantize(const int32_t* params, const uint8_t* input, uint8_t* output) {
  quantmcu::reference::Requantize(Words<quantmcu::RequantizeParams, 18>(params), input, output);
}

void QuantMcuLut(const int32_t* params, const uint8_t* input, const uint8_t* table,
                 uint8_t* output) {
  quantmcu::reference::Lut(Words<quantmcu::LutParams, 15>(params), input, table, output);
}

int32_t QuantMcuPatchStageRead(const int32_t* header, const int32_t* program, int32_t num_words,
                               const uint8_t* filters, int32_t num_filter_bytes,
                               int32_t* scratch_bytes, QuantMcuStageError* error) {
  quantmcu::PatchStageParams params = {};
  if (!Read(header, program, num_words, filters, num_filter_bytes, &params, error)) return 0;
  *scratch_bytes =
      static_cast<int32_t>(quantmcu::PatchStageScratchBytes(params, quantmcu::reference::kKernels));
  return 1;
}

int32_t QuantMcuPatchStageRun(const int32_t* header, const int32_t* program, int32_t num_words,
                              const uint8_t* filters, int32_t num_filter_bytes, const uint8_t* x,
                              const uint8_t* const* others, uint8_t* scratch, uint8_t* y,
                              QuantMcuStageError* error) {
  quantmcu::PatchStageParams params = {};
  if (!Read(header, program, num_words, filters, num_filter_bytes, &params, error)) return 0;
  const quantmcu::StageFormat& format = quantmcu::FormatOf(params, 0, 0);
  const quantmcu::StoredMap map = {x, params.maps[0].width,
                                   quantmcu::RunBytes(params.maps[0].channels, format.bits)};
  const quantmcu::StageInput input = quantmcu::IsStreamed(params)
                                         ? quantmcu::StageInput(quantmcu::ReaderOf(map), others)
                                         : quantmcu::StageInput(x, others);
  quantmcu::PatchStage(params, quantmcu::reference::kKernels, input, scratch, y);
  return 1;
}
