// portable/stage/progress.h - how an inference ends, and the hook that is called on its way.
//
// A hook is for what must not wait for a whole inference: a watchdog, other tasks, a progress bar.
#ifndef TFLM_KERNELS_PORTABLE_STAGE_PROGRESS_H_
#define TFLM_KERNELS_PORTABLE_STAGE_PROGRESS_H_

#include <stdint.h>

namespace quantmcu {

enum class Status : int32_t {
  kOk = 0,
  kReaderFailed = 1,  // the user's reader of a streamed input
  kStopped = 2,       // by the user's hook
  // Of emitted code alone (aot/arena.h), before anything is touched:
  kArenaMisaligned = 3,
  kArenaTooSmall = 4,
  kMore = 5,  // of Step: there is more to run
};

// What comes next.
struct Progress {
  int32_t op;    // its index in the model; -1 on TFLM, which does not tell
  int32_t tile;  // of a patch stage, counted in the order in which tiles run; -1: the op as a whole
};

// Called before each op and each tile; returns whether to go on. After false the inference ends and its
// outputs mean nothing.
using HookFn = bool(void* context, const Progress& next);

struct Hook {
  HookFn* call;
  void* context;
};

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_PROGRESS_H_
