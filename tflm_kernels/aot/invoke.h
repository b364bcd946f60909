// aot/invoke.h - what may be told to an emitted model's Invoke (docs/emit.md).
#ifndef TFLM_KERNELS_AOT_INVOKE_H_
#define TFLM_KERNELS_AOT_INVOKE_H_

#include "tflm_kernels/portable/stage/input_reader.h"
#include "tflm_kernels/portable/stage/progress.h"
#include "tflm_kernels/portable/stage/run.h"

namespace quantmcu {

struct InvokeOptions {
  InputReader reader = {};  // of a model whose input is streamed, which needs it
  HookFn* hook = nullptr;
  void* context = nullptr;  // handed to the hook
};

// Where an inference stands between two calls of Step; all zeros before the first.
template <int32_t kNumSpans>
struct StepStateOf {
  int32_t op = 0;  // the next one
  StageState stage = {};
  Span spans[kNumSpans] = {};
};

}  // namespace quantmcu

#endif  // TFLM_KERNELS_AOT_INVOKE_H_
