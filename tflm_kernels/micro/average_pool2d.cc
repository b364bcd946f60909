// QMCU_AVERAGE_POOL_2D: input -> output (docs/format.md F3).
#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/micro/hook.h"
#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/pool2d.h"
#include "tflm_kernels/micro/register.h"

namespace quantmcu {
namespace {

constexpr char kOp[] = "QMCU_AVERAGE_POOL_2D";

void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  return InitPool2D(context, kOp, buffer, length);
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  return PreparePool2D(context, kOp, node);
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  kernels::AveragePool2D(ParamsOfPool2D(context, node), InputBytes(context, node, 0),
                         OutputBytes(context, node));
  return kTfLiteOk;
}

}  // namespace

const TFLMRegistration* Register_QMCU_AVERAGE_POOL_2D() {
  static const TFLMRegistration registration = {Init,    nullptr, Prepare, EvalWithHook<Eval>,
                                                nullptr, 0,       nullptr};
  return &registration;
}

}  // namespace quantmcu
