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
  int scratch_index;
  NarrowFormat input;
  NarrowFormat output;
  NarrowClamp clamp;
  int8_t weight_bits;
};

// In Init: all that FilterOpData holds of the options.
inline void ReadFilterOp(OptionReader* options, FilterOpData* data) {
  data->input_channels = ReadInput(options, &data->input);
  data->output_channels = ReadOutput(options, &data->output, &data->clamp);
  data->weight_bits = static_cast<int8_t>(options->Bits("weight_bits"));
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
