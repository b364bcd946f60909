// boards/mps2_an505.cc - MPS2 with AN505, in Secure state: the dual timer runs at 20 MHz, 2.56 ticks
// an instruction.
#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/dual_timer.h"
#include "tflm_kernels/boards/startup.h"

namespace quantmcu {

using Timer = DualTimer<0x50002000>;

void BoardStartClock() { Timer::Start(); }

uint64_t BoardInstructionCount() { return (Timer::Ticks() * 25 + 32) >> 6; }

}  // namespace quantmcu
