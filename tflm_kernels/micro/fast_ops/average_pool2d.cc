// AVERAGE_POOL_2D of TFLite on our kernel (fast_ops.h).

// Small, not fast: what it calls takes the time.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/micro/fast_ops/pool2d.h"

namespace quantmcu {
namespace {

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  Pool2DParams params;
  if (!PoolParamsOf(context, node, &params)) {
    return tflm::Register_AVERAGE_POOL_2D().invoke(context, node);
  }
  kernels::AveragePool2D(params, InputBytes(context, node, 0), OutputBytes(context, node));
  return kTfLiteOk;
}

}  // namespace

TFLMRegistration FastAveragePool2D() {
  return Replaced(tflm::Register_AVERAGE_POOL_2D(), nullptr, Eval);
}

}  // namespace quantmcu
