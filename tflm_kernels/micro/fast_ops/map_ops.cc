// ADD, AVERAGE_POOL_2D and MAX_POOL_2D of TFLite on our kernels (fast_ops.h).

#include "tensorflow/lite/micro/kernels/add.h"
#include "tensorflow/lite/micro/kernels/pooling.h"
#include "tflm_kernels/micro/fast_ops.h"
#include "tflm_kernels/micro/fast_ops/fast_op.h"

namespace quantmcu {
namespace {

using namespace tflm;  // NOLINT(build/namespaces)

constexpr int32_t kAddLeftShift = 20;  // docs/arithmetic.md A4

TfLiteStatus EvalAdd(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteEvalTensor& input0 = *GetEvalTensor(context, node->inputs->data[0]);
  const TfLiteEvalTensor& input1 = *GetEvalTensor(context, node->inputs->data[1]);
  const TfLiteEvalTensor& output = *GetEvalTensor(context, node->outputs->data[0]);
  const auto& data = *static_cast<const OpDataAdd*>(node->user_data);
  const int32_t count = NumElements(output);
  const bool is_ours = output.type == kTfLiteInt8 && !data.requires_broadcast &&
                       data.left_shift == kAddLeftShift && InRange(count, 1, kMaxChannels) &&
                       NumElements(input0) == count && NumElements(input1) == count;
  if (!is_ours) return Register_ADD().invoke(context, node);
  const AddParams params = {Int8Run(count, -data.input1_offset),
                            Int8Run(count, -data.input2_offset),
                            Int8Run(count, data.output_offset),
                            {data.output_activation_min, data.output_activation_max},
                            {{data.input1_multiplier, data.input1_shift},
                             {data.input2_multiplier, data.input2_shift},
                             {data.output_multiplier, data.output_shift}}};
  kernels::Add(params, InputBytes(context, node, 0), InputBytes(context, node, 1),
               OutputBytes(context, node));
  return kTfLiteOk;
}

// Whether our kernels take the pool. Both maps have one format, so that its zero point does not matter.
bool PoolParamsOf(const TfLiteContext* context, const TfLiteNode* node, Pool2DParams* params) {
  const TfLiteEvalTensor& input = *GetEvalTensor(context, node->inputs->data[0]);
  const TfLiteEvalTensor& output = *GetEvalTensor(context, node->outputs->data[0]);
  if (!IsInt8Map(input) || !IsInt8Map(output)) return false;
  const auto& options = *static_cast<const TfLitePoolParams*>(node->builtin_data);
  const auto& data = *static_cast<const OpDataPooling*>(node->user_data);
  const Window window = {options.filter_height,
                         options.filter_width,
                         options.stride_height,
                         options.stride_width,
                         1,
                         1,
                         data.padding.height,
                         data.padding.width};
  *params = {Int8Map(input, 0),
             Int8Map(output, 0),
             window,
             {data.activation_min, data.activation_max},
             {1 << 30, 1}};
  return PoolWindowFits(window, params->input.height, params->input.width, params->output.height,
                        params->output.width);
}

TfLiteStatus EvalAveragePool(TfLiteContext* context, TfLiteNode* node) {
  Pool2DParams params;
  if (!PoolParamsOf(context, node, &params))
    return Register_AVERAGE_POOL_2D().invoke(context, node);
  kernels::AveragePool2D(params, InputBytes(context, node, 0), OutputBytes(context, node));
  return kTfLiteOk;
}

TfLiteStatus EvalMaxPool(TfLiteContext* context, TfLiteNode* node) {
  Pool2DParams params;
  if (!PoolParamsOf(context, node, &params)) return Register_MAX_POOL_2D().invoke(context, node);
  kernels::MaxPool2D(params, InputBytes(context, node, 0), OutputBytes(context, node));
  return kTfLiteOk;
}

}  // namespace

TFLMRegistration FastAdd() { return Replaced(tflm::Register_ADD(), nullptr, EvalAdd); }

TFLMRegistration FastAveragePool2D() {
  return Replaced(tflm::Register_AVERAGE_POOL_2D(), nullptr, EvalAveragePool);
}

TFLMRegistration FastMaxPool2D() {
  return Replaced(tflm::Register_MAX_POOL_2D(), nullptr, EvalMaxPool);
}

}  // namespace quantmcu
