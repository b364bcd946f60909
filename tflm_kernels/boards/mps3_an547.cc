// boards/mps3_an547.cc - MPS3 with AN547, in Secure state: the 64-bit system counter runs at 32 MHz,
// 4.096 ticks an instruction.
//
// Source   Arm SSE-300 Technical Reference Manual, "System Counter".
#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/registers.h"
#include "tflm_kernels/boards/startup.h"

namespace quantmcu {
namespace {

constexpr uint32_t kControl = 0x58100000;
constexpr uint32_t kSetLow = 0x58100008;
constexpr uint32_t kSetHigh = 0x5810000C;
constexpr uint32_t kLow = 0x58101000;
constexpr uint32_t kHigh = 0x58101004;

constexpr uint32_t kEnable = 1;

// So early (7e7 instructions) does the low word wrap that calibration sees it.
constexpr uint32_t kFirstTick = UINT32_MAX << 28;

// Without branches, so that it always takes the same number of instructions.
uint64_t Ticks() {
  const uint32_t high_before = Register(kHigh);
  const uint32_t low = Register(kLow);
  const uint32_t high_after = Register(kHigh);
  // If the high word changed meanwhile, a large low word belongs to the one before.
  const uint32_t high = high_after - ((high_after - high_before) & (low >> 31));
  return (uint64_t{high} << 32) + low - kFirstTick;
}

}  // namespace

void BoardStartClock() {
  Register(kControl) = 0;
  Register(kSetLow) = kFirstTick;
  Register(kSetHigh) = 0;
  Register(kControl) = kEnable;
}

uint64_t BoardInstructionCount() { return (Ticks() * 125 + 256) >> 9; }

}  // namespace quantmcu
