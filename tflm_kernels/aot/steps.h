// aot/steps.h - what stands between the kernel calls of an emitted model. Without a hook: nothing.
//
// In the model's own test (QUANTMCU_SELF_TEST) stages that run with a hook, or in steps, show every map that they
// compute.
#ifndef TFLM_KERNELS_AOT_STEPS_H_
#define TFLM_KERNELS_AOT_STEPS_H_

#include <stdint.h>

#include "tflm_kernels/aot/invoke.h"
#ifdef QUANTMCU_SELF_TEST
#include "tflm_kernels/aot/self_test.h"
#endif
#include "tflm_kernels/portable/stage/run.h"

namespace quantmcu {
namespace aot {

#ifdef QUANTMCU_SELF_TEST
template <const Kernels& kKernels>
constexpr const Kernels& kHookedKernels = Tapped<kKernels>::kTable;
#else
template <const Kernels& kKernels>
constexpr const Kernels& kHookedKernels = kKernels;
#endif

template <bool kHasHook>
inline bool MayGoOn(const InvokeOptions& options, int32_t op) {
  if constexpr (kHasHook) return options.hook(options.context, {op, -1});
  return true;
}

template <bool kHasHook, const Kernels& kKernels>
inline Status RunStage(const PatchStageParams& params, const InputReader& x, uint8_t* scratch,
                       uint8_t* y, const InvokeOptions& options, int32_t op) {
  if constexpr (kHasHook) {
    return PatchStageWithHook(params, kHookedKernels<kKernels>, x, scratch, y,
                              {options.hook, options.context}, op);
  }
  return PatchStage(params, kKernels, x, scratch, y);
}

// With X in memory only a hook ends it.
template <bool kHasHook, const Kernels& kKernels>
inline Status RunStage(const PatchStageParams& params, const StageInput& x, uint8_t* scratch,
                       uint8_t* y, const InvokeOptions& options, int32_t op) {
  if constexpr (kHasHook) {
    return PatchStageWithHook(params, kHookedKernels<kKernels>, x, scratch, y,
                              {options.hook, options.context}, op);
  }
  PatchStage(params, kKernels, x, scratch, y);
  return Status::kOk;
}

// The next tile of a stage.
template <const Kernels& kKernels, typename State>
inline Status StepStage(const PatchStageParams& params, const StageInput& x, uint8_t* scratch,
                        uint8_t* y, State* state) {
  const Status status =
      PatchStageStep(params, kHookedKernels<kKernels>, x, scratch, y, &state->stage, state->spans,
                     static_cast<int32_t>(sizeof(state->spans) / sizeof(Span)));
  if (status == Status::kReaderFailed) state->op = 0;
  return status;
}

// What Step says once an op is done.
template <typename State>
inline Status StepToNextOp(State* state, int32_t num_ops) {
  if (++state->op < num_ops) return Status::kMore;
  state->op = 0;
  return Status::kOk;
}

}  // namespace aot
}  // namespace quantmcu

#endif  // TFLM_KERNELS_AOT_STEPS_H_
