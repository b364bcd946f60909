// micro/hook.h - a function of the application's that is called while a model runs: for a watchdog, other tasks, progress.
//
// It is called at the begin and end of each of our ops and before each tile of a patch stage. After it returns false,
// Invoke ends with kTfLiteError. One hook serves all interpreters. micro/hook_profiler.h calls it round stock ops too.
#ifndef TFLM_KERNELS_MICRO_HOOK_H_
#define TFLM_KERNELS_MICRO_HOOK_H_

#include "tflm_kernels/micro/tflm.h"
#include "tflm_kernels/portable/stage/progress.h"

namespace quantmcu {

// Any time but during Invoke; {} for none. `hook.context` is handed to `hook.call`; both must stay valid while a
// model runs.
void SetHook(const Hook& hook);

const Hook& GetHook();

// At the begin or end of an op; reports where the hook ends the inference.
TfLiteStatus CallHook(TfLiteContext* context);

// An op's Eval between two calls of the hook, if there is one.
template <TfLiteStatus (*kEval)(TfLiteContext*, TfLiteNode*)>
TfLiteStatus EvalWithHook(TfLiteContext* context, TfLiteNode* node) {
  if (GetHook().call == nullptr) return kEval(context, node);
  TfLiteStatus status = CallHook(context);
  if (status == kTfLiteOk) status = kEval(context, node);
  return status == kTfLiteOk ? CallHook(context) : status;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_HOOK_H_
