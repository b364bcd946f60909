// CONV_2D of TFLite on our kernel (fast_ops.h).

// Small, not fast: what it calls takes the time.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/micro/fast_ops/filter_op.h"

namespace quantmcu {
namespace {

struct Conv2DOp {
  using Options = TfLiteConvParams;
  using Kernel = Conv2DFn;
  static TFLMRegistration Tflms() { return tflm::Register_CONV_2D(); }
  static bool IsOurs(const FilterNode& t) {
    return t.filter->dims->data[3] == t.input->dims->data[3];
  }
  static Conv2DParams ParamsOf(const Conv2DParams& params, const FilterNode&) { return params; }
};

}  // namespace

TFLMRegistration FastConv2D(FastEval* eval) { return FastConv<Conv2DOp>::Registration(eval); }

TfLiteStatus EvalFastConv2D(TfLiteContext* context, TfLiteNode* node, Conv2DFn* kernel) {
  return FastConv<Conv2DOp>::Eval(context, node, kernel);
}

TFLMRegistration FastConv2D() { return FastConv2DOn<kernels::Conv2DOf<8, 8>>(); }

}  // namespace quantmcu
