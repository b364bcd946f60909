#include "tflm_kernels/boards/measure.h"

#include "tflm_kernels/boards/board.h"

namespace quantmcu {
namespace {

// Not inlined, cloned or specialised: tools that count blocks of code look for these names
// (tools/qemu_run.py), and the calls of them are outside what is counted here.
extern "C" [[gnu::noipa]] void BoardSpanBegin() { asm volatile(""); }
extern "C" [[gnu::noipa]] void BoardSpanEnd() { asm volatile(""); }

// Not inlined, cloned or specialised: work and Nothing must be called by the same instructions.
[[gnu::noipa]] uint64_t Span(void (*work)(const void*), const void* argument) {
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
