// aot/steps.h - what stands between the kernel calls of an emitted model. Without a hook: nothing.
#ifndef TFLM_KERNELS_AOT_STEPS_H_
#define TFLM_KERNELS_AOT_STEPS_H_

#include <stdint.h>

#include "tflm_kernels/aot/invoke.h"
#include "tflm_kernels/portable/stage/run.h"

namespace quantmcu {
namespace aot {

template <bool kHasHook>
inline bool MayGoOn(const InvokeOptions& options, int32_t op) {
  if constexpr (kHasHook) return options.hook(options.context, {op, -1});
  return true;
}

template <bool kHasHook>
inline Status RunStage(const PatchStageParams& params, const Kernels& kernels, const InputReader& x,
                       uint8_t* scratch, uint8_t* y, const InvokeOptions& options, int32_t op) {
  if constexpr (kHasHook) {
    return PatchStageWithHook(params, kernels, x, scratch, y, {options.hook, options.context}, op);
  }
  return PatchStage(params, kernels, x, scratch, y);
}

// With X in memory only a hook ends it.
template <bool kHasHook>
inline Status RunStage(const PatchStageParams& params, const Kernels& kernels, const uint8_t* x,
                       uint8_t* scratch, uint8_t* y, const InvokeOptions& options, int32_t op) {
  if constexpr (kHasHook) {
    return PatchStageWithHook(params, kernels, x, scratch, y, {options.hook, options.context}, op);
  }
  PatchStage(params, kernels, x, scratch, y);
  return Status::kOk;
}

}  // namespace aot
}  // namespace quantmcu

#endif  // TFLM_KERNELS_AOT_STEPS_H_
