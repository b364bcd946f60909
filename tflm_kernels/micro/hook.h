// micro/hook.h - a function of the application's that is called before each tile of a patch stage.
//
// After it returns false, Invoke ends with kTfLiteError. One hook serves all interpreters.
#ifndef TFLM_KERNELS_MICRO_HOOK_H_
#define TFLM_KERNELS_MICRO_HOOK_H_

#include "tflm_kernels/portable/stage/progress.h"

namespace quantmcu {

// Any time but during Invoke; {} for none. `hook.context` is handed to `hook.call`; both must stay valid while a
// model runs.
void SetHook(const Hook& hook);

const Hook& GetHook();

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_HOOK_H_
