// micro/filter_op.h - what the ops with inputs input, filter and table share (docs/format.md F3).
#ifndef TFLM_KERNELS_MICRO_FILTER_OP_H_
#define TFLM_KERNELS_MICRO_FILTER_OP_H_

#include <stdint.h>

#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/op_data.h"
#include "tflm_kernels/micro/options.h"
#include "tflm_kernels/micro/tflm.h"
#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {

constexpr int kInput = 0;
constexpr int kFilter = 1;
constexpr int kTable = 2;

struct FilterOpData {
  int32_t input_channels;
  int32_t output_channels;
  int16_t scratch_index;
  uint16_t input_bits : 4;
  uint16_t output_bits : 4;
  uint16_t weight_bits : 4;
  int8_t input_zero_point;
  int8_t output_zero_point;
  NarrowClamp clamp;

  NarrowFormat input() const { return {static_cast<int8_t>(input_bits), input_zero_point}; }
  NarrowFormat output() const { return {static_cast<int8_t>(output_bits), output_zero_point}; }
};
static_assert(sizeof(FilterOpData) == 16, "with a window it is 32 bytes");

// In Init: all that FilterOpData holds of the options.
inline void ReadFilterOp(OptionReader* options, FilterOpData* data) {
  NarrowFormat input, output;
  data->input_channels = ReadInput(options, &input);
  data->output_channels = ReadOutput(options, &output, &data->clamp);
  data->input_bits = static_cast<uint16_t>(input.bits & 15);
  data->output_bits = static_cast<uint16_t>(output.bits & 15);
  data->weight_bits = static_cast<uint16_t>(options->Bits("weight_bits") & 15);
  data->input_zero_point = input.zero_point;
  data->output_zero_point = output.zero_point;
  options->OptionalInt("filter_layout", 0, kMaxFilterLayout, 0);
}

// In Eval: one call of the kernel.
template <typename Kernel, typename Params>
TfLiteStatus RunFilterOp(TfLiteContext* context, const TfLiteNode* node, const FilterOpData& data,
                         Kernel kernel, const Params& params) {
  kernel(params, InputBytes(context, node, kInput), InputBytes(context, node, kFilter),
         ChannelTableOf(InputWords(context, node, kTable), data.output_channels),
         OutputBytes(context, node), Scratch(context, data.scratch_index));
  return kTfLiteOk;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_FILTER_OP_H_
