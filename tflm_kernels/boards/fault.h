// boards/fault.h - the handler of every exception: prints what happened and where, then exits.
#ifndef TFLM_KERNELS_BOARDS_FAULT_H_
#define TFLM_KERNELS_BOARDS_FAULT_H_

namespace quantmcu {

// Exits with kBoardFaultExitCode.
extern "C" [[noreturn]] void BoardFault();

}  // namespace quantmcu

#endif  // TFLM_KERNELS_BOARDS_FAULT_H_
