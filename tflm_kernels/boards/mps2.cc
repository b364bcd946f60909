// boards/mps2.cc - MPS2 with AN385, AN386 or AN500: the dual timer runs at 25 MHz, 3.2 ticks an
// instruction.
#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/dual_timer.h"
#include "tflm_kernels/boards/startup.h"

namespace quantmcu {

using Timer = DualTimer<0x40002000>;

void BoardStartClock() { Timer::Start(); }

uint64_t BoardInstructionCount() { return (Timer::Ticks() * 5 + 8) >> 4; }

}  // namespace quantmcu
