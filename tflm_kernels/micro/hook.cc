#include "tflm_kernels/micro/hook.h"

namespace quantmcu {
namespace {

Hook g_hook = {};

}  // namespace

void SetHook(const Hook& hook) { g_hook = hook; }

const Hook& GetHook() { return g_hook; }

}  // namespace quantmcu
