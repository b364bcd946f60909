#include "tflm_kernels/boards/measure.h"

#include "tflm_kernels/boards/board.h"

// Not inlined, cloned or specialised; compilers that know no such attribute do the last two to none of these.
#if __has_attribute(noipa)
#define QUANTMCU_OPAQUE __attribute__((noipa))
#else
#define QUANTMCU_OPAQUE __attribute__((noinline))
#endif

namespace quantmcu {
namespace {

// Tools that count blocks of code look for these names
// (tools/qemu_run.py), and the calls of them are outside what is counted here.
extern "C" QUANTMCU_OPAQUE void BoardSpanBegin() { asm volatile(""); }
extern "C" QUANTMCU_OPAQUE void BoardSpanEnd() { asm volatile(""); }

// work and Nothing must be called by the same instructions.
QUANTMCU_OPAQUE uint64_t Span(void (*work)(const void*), const void* argument) {
  BoardSpanBegin();
  const uint64_t begin = BoardInstructionCount();
  work(argument);
  const uint64_t count = BoardInstructionCount() - begin;
  BoardSpanEnd();
  return count;
}

void Nothing(const void*) {}

}  // namespace

uint64_t MeasureInstructions(void (*work)(const void*), const void* argument) {
  const uint64_t count = Span(work, argument);
  return count - Span(Nothing, argument);
}

}  // namespace quantmcu
