#include "tflm_kernels/boards/fault.h"

#include <stdint.h>

#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/registers.h"
#include "tflm_kernels/boards/report.h"

extern "C" {
extern volatile uint32_t board_stack_begin[];
}

namespace quantmcu {
namespace {

// What the core pushes when an exception is taken.
struct ExceptionFrame {
  uint32_t r0, r1, r2, r3, r12, lr, pc, xpsr;
};

constexpr uint32_t kStackGuard = 0x5AFE57AC;
// In the fault status.
constexpr uint32_t kMemoryFaultAddressIsValid = 0x80;
constexpr uint32_t kBusFaultAddressIsValid = 0x8000;

struct FaultBit {
  uint32_t mask;
  const char* meaning;
};

// Of the Configurable Fault Status Register.
constexpr FaultBit kFaultBits[] = {
    {0x00000001, "instruction access violation"},
    {0x00000002, "data access violation"},
    {0x00000100, "instruction bus error"},
    {0x00000600, "data bus error"},
    {0x00010000, "undefined instruction"},
    {0x00020000, "invalid state"},
    {0x00040000, "invalid return"},
    {0x00080000, "coprocessor not enabled"},
    {0x01000000, "unaligned access"},
    {0x02000000, "division by zero"},
};

bool IsGuardBroken() { return board_stack_begin[0] != kStackGuard; }

}  // namespace

void GuardStack() { board_stack_begin[0] = kStackGuard; }

void CheckStack() {
  if (!IsGuardBroken()) return;
  BoardWrite("\nFAULT: stack overflow\n");
  BoardExit(kBoardFaultExitCode);
}

// frame: the stack pointer at the time of the fault.
extern "C" [[noreturn]] __attribute__((used)) void BoardReportFault(const ExceptionFrame* frame) {
  uint32_t exception;
  asm volatile("mrs %0, ipsr" : "=r"(exception));
  const uint32_t status = Register(kConfigurableFaultStatus);
  const bool has_overflowed =
      IsGuardBroken() || reinterpret_cast<volatile const uint32_t*>(frame) < board_stack_begin;
  BoardWrite("\nFAULT:");
  if (has_overflowed) BoardWrite(" stack overflow");
  for (const FaultBit& bit : kFaultBits) {
    if ((status & bit.mask) != 0) {
      BoardWrite(" ");
      BoardWrite(bit.meaning);
    }
  }
  BoardWrite("\n");
  ReportHex("FAULT_EXCEPTION", exception);
  ReportHex("FAULT_STATUS", status);
  if ((status & kMemoryFaultAddressIsValid) != 0) {
    ReportHex("FAULT_ADDRESS", Register(kMemoryFaultAddress));
  } else if ((status & kBusFaultAddressIsValid) != 0) {
    ReportHex("FAULT_ADDRESS", Register(kBusFaultAddress));
  }
  if (!has_overflowed) {
    ReportHex("FAULT_PC", frame->pc);
    ReportHex("FAULT_LR", frame->lr);
  }
  BoardExit(kBoardFaultExitCode);
}

// The stack may be what failed, so the report gets its own.
extern "C" [[noreturn]] __attribute__((naked)) void BoardFault() {
  asm volatile(
      "mov r0, sp                     \n"
      "ldr r1, =board_fault_stack_end \n"
      "mov sp, r1                     \n"
      "bl BoardReportFault            \n");
}

}  // namespace quantmcu
