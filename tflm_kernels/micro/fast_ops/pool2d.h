// micro/fast_ops/pool2d.h - what TFLite's pools share on our kernels (fast_ops.h).
#ifndef TFLM_KERNELS_MICRO_FAST_OPS_POOL2D_H_
#define TFLM_KERNELS_MICRO_FAST_OPS_POOL2D_H_

#include "tflm_kernels/micro/fast_ops.h"
#include "tflm_kernels/micro/fast_ops/fast_op.h"

namespace quantmcu {

// Whether our kernels take the pool. Both maps have one format, so that its zero point does not matter.
inline bool PoolParamsOf(const TfLiteContext* context, const TfLiteNode* node,
                         Pool2DParams* params) {
  const TfLiteEvalTensor& input = *GetEvalTensor(context, node->inputs->data[0]);
  const TfLiteEvalTensor& output = *GetEvalTensor(context, node->outputs->data[0]);
  if (!IsInt8Map(input) || !IsInt8Map(output)) return false;
  const auto& options = *static_cast<const TfLitePoolParams*>(node->builtin_data);
  const auto& data = *static_cast<const tflm::OpDataPooling*>(node->user_data);
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

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_FAST_OPS_POOL2D_H_
