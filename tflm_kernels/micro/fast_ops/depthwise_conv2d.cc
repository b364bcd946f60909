// DEPTHWISE_CONV_2D of TFLite on our kernel (fast_ops.h).

// Small, not fast: what it calls takes the time.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/micro/fast_ops/filter_op.h"

namespace quantmcu {
namespace {

struct DepthwiseConv2DOp {
  using Options = TfLiteDepthwiseConvParams;
  using Kernel = DepthwiseConv2DFn;
  static TFLMRegistration Tflms() { return tflm::Register_DEPTHWISE_CONV_2D(); }
  static bool IsOurs(const FilterNode& t) {
    return t.filter->dims->data[0] == 1 && t.output->dims->data[3] % t.input->dims->data[3] == 0;
  }
  static DepthwiseConv2DParams ParamsOf(const Conv2DParams& params, const FilterNode& t) {
    return {params.input, params.output,      params.window,
            params.clamp, params.weight_bits, t.output->dims->data[3] / t.input->dims->data[3]};
  }
};

}  // namespace

TFLMRegistration FastDepthwiseConv2D(FastEval* eval) {
  return FastConv<DepthwiseConv2DOp>::Registration(eval);
}

TfLiteStatus EvalFastDepthwiseConv2D(TfLiteContext* context, TfLiteNode* node,
                                     DepthwiseConv2DFn* kernel) {
  return FastConv<DepthwiseConv2DOp>::Eval(context, node, kernel);
}

TFLMRegistration FastDepthwiseConv2D() {
  return FastDepthwiseConv2DOn<kernels::DepthwiseConv2DOf<8, 8>>();
}

}  // namespace quantmcu
