// boards/board.h - what an image needs of the machine under it: text out, an exit code, a count of
// executed instructions.
//
// Every core of third_party/arm_none_eabi/cores.bzl has a QEMU machine that gives these three; so
// has the host, which is how one source is compared on all of them. docs/cortex_m.md
#ifndef TFLM_KERNELS_BOARDS_BOARD_H_
#define TFLM_KERNELS_BOARDS_BOARD_H_

#include <stdint.h>

// For static buffers of any size, uninitialised at start-up: 16 MB of external RAM on every board.
#define BOARD_ARENA __attribute__((section(".arena"), aligned(16)))

namespace quantmcu {

// What an image exits with after a fault (HardFault, UsageFault, ...), which it prints.
constexpr int kBoardFaultExitCode = 70;

void BoardWrite(const char* text);

// Ends the image; QEMU exits with `code`, 0 to 255. main's result goes here too.
[[noreturn]] void BoardExit(int code);

// Instructions executed since start-up, exact up to 5e9 and beyond (dual_timer.h). Two calls have a
// constant number of instructions of their own between them: MeasureInstructions subtracts them.
// Needs QEMU's -icount shift=7; 0 on the host.
uint64_t BoardInstructionCount();

}  // namespace quantmcu

#endif  // TFLM_KERNELS_BOARDS_BOARD_H_
