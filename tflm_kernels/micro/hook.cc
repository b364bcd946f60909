#include "tflm_kernels/micro/hook.h"

#include "tflm_kernels/micro/context.h"

namespace quantmcu {
namespace {

Hook g_hook = {};

}  // namespace

void SetHook(const Hook& hook) { g_hook = hook; }

const Hook& GetHook() { return g_hook; }

TfLiteStatus CallHook(TfLiteContext* context) {
  if (g_hook.call(g_hook.context, {/*op=*/-1, /*tile=*/-1})) return kTfLiteOk;
  ReportError(context, "the hook stopped the inference");
  return kTfLiteError;
}

}  // namespace quantmcu
