// The instruction counter, against loops of known length.
#include <stdint.h>

#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/measure.h"
#include "tflm_kernels/boards/report.h"

namespace quantmcu {
namespace {

// 2n + 1 instructions and the return; n >= 1.
__attribute__((naked)) void Spin(const void* /*n in r0*/) {
  asm volatile(
      "mov r1, r0      \n"
      "0:              \n"
      "subs r1, r1, #1 \n"
      "bne 0b          \n"
      "bx lr           \n");
}

bool IsExact(uint32_t turns) {
  const uint64_t expected = 2 * uint64_t{turns} + 1;
  const uint64_t measured = MeasureInstructions(Spin, reinterpret_cast<const void*>(turns));
  if (measured != expected) {
    ReportCount("TURNS", turns);
    ReportCount("EXPECTED", expected);
    ReportCount("MEASURED", measured);
  }
  return measured == expected;
}

}  // namespace
}  // namespace quantmcu

int main() {
  bool is_exact = true;
  for (uint32_t turns = 1; turns <= 100; ++turns) is_exact &= quantmcu::IsExact(turns);
  for (uint32_t turns = 1000; turns <= 100000000; turns *= 10) is_exact &= quantmcu::IsExact(turns);
  quantmcu::ReportCount("INSTRUCTIONS", quantmcu::BoardInstructionCount());
  return is_exact ? 0 : 1;
}
