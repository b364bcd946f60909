// aot/stack_usage.h - how much stack a piece of code takes.
#ifndef TFLM_KERNELS_AOT_STACK_USAGE_H_
#define TFLM_KERNELS_AOT_STACK_USAGE_H_

#include <stdint.h>

namespace quantmcu {

constexpr uint32_t kStackProbeBytes = 8192;

// Bytes of stack that work(argument) writes to, its own frame included: those below the caller's
// frame are painted before and looked at afterwards. At least 256, at most kStackProbeBytes, which
// must be free.
uint32_t MeasureStackBytes(void (*work)(const void* argument), const void* argument);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_AOT_STACK_USAGE_H_
