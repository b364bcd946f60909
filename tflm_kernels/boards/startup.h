// boards/startup.h - what start-up asks of each board.
#ifndef TFLM_KERNELS_BOARDS_STARTUP_H_
#define TFLM_KERNELS_BOARDS_STARTUP_H_

namespace quantmcu {

// Starts the clock that BoardInstructionCount reads.
void BoardStartClock();

}  // namespace quantmcu

#endif  // TFLM_KERNELS_BOARDS_STARTUP_H_
