#include "tflm_kernels/boards/measure.h"

#include "tflm_kernels/boards/board.h"

namespace quantmcu {
namespace {

// Not inlined, cloned or specialised: work and Nothing must be called by the same instructions.
[[gnu::noipa]] uint64_t Span(void (*work)(const void*), const void* argument) {
  const uint64_t begin = BoardInstructionCount();
  work(argument);
  return BoardInstructionCount() - begin;
}

void Nothing(const void*) {}

}  // namespace

uint64_t MeasureInstructions(void (*work)(const void*), const void* argument) {
  return Span(work, argument) - Span(Nothing, argument);
}

}  // namespace quantmcu
