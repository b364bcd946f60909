// micro/hook_profiler.h - calls the hook (micro/hook.h) before and after every op of a model, stock ones too.
//
// TFLM calls a profiler around each op that it runs:
//
//   quantmcu::HookProfiler profiler;
//   tflite::MicroInterpreter interpreter(model, resolver, arena, arena_bytes, nullptr, &profiler);
//
// A profiler cannot end an inference: what the hook returns counts at ops of ours alone.
#ifndef TFLM_KERNELS_MICRO_HOOK_PROFILER_H_
#define TFLM_KERNELS_MICRO_HOOK_PROFILER_H_

#include <stdint.h>

#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tflm_kernels/micro/hook.h"

namespace quantmcu {

class HookProfiler : public tflm::MicroProfilerInterface {
 public:
  uint32_t BeginEvent(const char*) override {
    Call();
    return 0;
  }

  void EndEvent(uint32_t) override { Call(); }

 private:
  static void Call() {
    const Hook& hook = GetHook();
    if (hook.call != nullptr) hook.call(hook.context, {/*op=*/-1, /*tile=*/-1});
  }
};

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_HOOK_PROFILER_H_
