// A read or write of the byte before or behind guarded memory: must end in a fault, as QUANTMCU_BEYOND says: the
// byte's place, and whether it is written.
#include "tflm_kernels/boards/guard.h"

#include <stdint.h>

#include "tflm_kernels/boards/report.h"

namespace quantmcu {
namespace {

constexpr uint32_t kBytes = 3 * kGuardBytes;
[[gnu::section(".arena"), gnu::aligned(kGuardBytes)]] uint8_t memory[kBytes];

void Touch(volatile uint8_t* byte, bool is_written) {
  ReportHex("TOUCHED", static_cast<uint32_t>(reinterpret_cast<uintptr_t>(byte)));
  if (is_written) *byte = 1;
  ReportCount("READ", *byte);
}

bool Guard() { return BoardGuard(0, memory) && BoardGuard(1, memory + 2 * kGuardBytes); }

}  // namespace
}  // namespace quantmcu

int main() {
  using namespace quantmcu;
  if (!Guard()) return 2;
  Touch(memory + kGuardBytes, true);
  Touch(memory + 2 * kGuardBytes - 1, true);
  Touch(memory + QUANTMCU_BEYOND, QUANTMCU_IS_WRITTEN);
  return 1;
}
