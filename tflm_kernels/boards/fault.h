// boards/fault.h - what goes wrong in an image ends it: printed, with kBoardFaultExitCode.
#ifndef TFLM_KERNELS_BOARDS_FAULT_H_
#define TFLM_KERNELS_BOARDS_FAULT_H_

namespace quantmcu {

// The handler of every exception: prints what happened and where.
extern "C" [[noreturn]] void BoardFault();

// Writes to missing memory are ignored on some of QEMU's boards, so the last word of the stack tells
// whether it was large enough.
void GuardStack();
void CheckStack();

}  // namespace quantmcu

#endif  // TFLM_KERNELS_BOARDS_FAULT_H_
