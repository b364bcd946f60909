// ADD of TFLite on our kernel (fast_ops.h).

// Small, not fast: what it calls takes the time.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/micro/fast_ops.h"
#include "tflm_kernels/micro/fast_ops/fast_op.h"

namespace quantmcu {
namespace {

constexpr int32_t kLeftShift = 20;  // docs/arithmetic.md A4

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor& input0 = *GetEvalTensor(context, node->inputs->data[0]);
  const TfLiteEvalTensor& input1 = *GetEvalTensor(context, node->inputs->data[1]);
  const TfLiteEvalTensor& output = *GetEvalTensor(context, node->outputs->data[0]);
  const auto& data = *static_cast<const tflm::OpDataAdd*>(node->user_data);
  const int32_t count = NumElements(output);
  const bool is_ours = output.type == kTfLiteInt8 && !data.requires_broadcast &&
                       data.left_shift == kLeftShift && InRange(count, 1, kMaxChannels) &&
                       NumElements(input0) == count && NumElements(input1) == count;
  if (!is_ours) return tflm::Register_ADD().invoke(context, node);
  const AddParams params = {Int8Run(count, -data.input1_offset),
                            Int8Run(count, -data.input2_offset),
                            Int8Run(count, data.output_offset),
                            {data.output_activation_min, data.output_activation_max},
                            {{data.input1_multiplier, data.input1_shift},
                             {data.input2_multiplier, data.input2_shift},
                             {data.output_multiplier, data.output_shift}}};
  if (!kernels::IsFast(params)) return tflm::Register_ADD().invoke(context, node);
  kernels::AddOf<8>(params, InputBytes(context, node, 0), InputBytes(context, node, 1),
                    OutputBytes(context, node));
  return kTfLiteOk;
}

}  // namespace

TFLMRegistration FastAdd() { return Replaced(tflm::Register_ADD(), nullptr, Eval); }

}  // namespace quantmcu
