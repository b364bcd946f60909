// Fully connected with the DSP extension.
//
// What is gained: the input is widened once (widen.h) and meets all outputs, four at a time
// (one_pixel.h).
// Memory   scratch for the widened input: 2 bytes a value.

// Scheduling before register allocation makes GCC 12 spill what the loops of dot.h need.
#ifndef __clang__
#pragma GCC optimize("O2", "no-schedule-insns")
#endif

#include "tflm_kernels/cortex_m/dsp/fixed_point.h"
#include "tflm_kernels/cortex_m/dsp/kernels.h"
#include "tflm_kernels/cortex_m/dsp/one_pixel.h"
#include "tflm_kernels/cortex_m/dsp/widen.h"

namespace quantmcu {
namespace dsp {
namespace {

// Groups of four; what fills up the last one is widened to 0.
void AddBytes(const uint8_t* input, int32_t count, Column* column) {
  using Words = Widen<8, 8, 1>;
  const int32_t whole = count & ~3;
  Words::AddWholeGroups(input, 0, whole, column);
  if (whole == count) return;
  uint32_t last = Repeated(column->zero_point);
  auto* bytes = reinterpret_cast<uint8_t*>(&last);
  for (int32_t i = whole; i < count; ++i) *bytes++ = input[i];
  Words::AddWholeGroups(reinterpret_cast<uint8_t*>(&last), whole, 4, column);
}

}  // namespace

template <int kInputBits, int kWeightBits>
void FullyConnectedOf(const FullyConnectedParams& params, const uint8_t* input,
                      const uint8_t* filter, const ChannelTable& table, uint8_t* output,
                      uint8_t* scratch) {
  const Operands operands = {input, filter, table, scratch, output};
  Column column = {reinterpret_cast<uint32_t*>(operands.scratch), params.input.zero_point, 0};
  const int32_t channels = params.input.channels;
  const int32_t run_bytes = RunBytes(channels, kWeightBits);
  if constexpr (kInputBits == 8 && kWeightBits == 8) {
    AddBytes(input, channels, &column);
  } else {
    Clear(column, NumGroups(run_bytes), kWeightBits, 1);
    Widen<kInputBits, kWeightBits, 1>::AddSpan(input, 0, channels, &column);
  }
  OnePixel<kWeightBits>(params.output, params.clamp, run_bytes, operands, column.sum, output);
}

void FullyConnected(const FullyConnectedParams& params, const uint8_t* input, const uint8_t* filter,
                    const ChannelTable& table, uint8_t* output, uint8_t* scratch) {
  static constexpr FullyConnectedFn* kOfWidths[3][3] = {
      {FullyConnectedOf<2, 2>, FullyConnectedOf<2, 4>, FullyConnectedOf<2, 8>},
      {FullyConnectedOf<4, 2>, FullyConnectedOf<4, 4>, FullyConnectedOf<4, 8>},
      {FullyConnectedOf<8, 2>, FullyConnectedOf<8, 4>, FullyConnectedOf<8, 8>}};
  AtWidths(kOfWidths, params)(params, input, filter, table, output, scratch);
}

}  // namespace dsp
}  // namespace quantmcu
