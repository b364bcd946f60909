// boards/rv32.cc - QEMU's RISC-V board `virt` with a core of 32 bits: from reset to main, text and exit code. It runs the
// reference kernels, to compare their bytes, not instructions; no faster ones are for it.
//
// Source   The RISC-V Instruction Set Manual, Volume II: "Machine-Level ISA"; NS16550A; SiFive test finisher.
#include <stdint.h>

#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/guard.h"
#include "tflm_kernels/boards/report.h"

// From rv32.ld; they are addresses.
extern "C" {
extern uint32_t board_bss_begin[];
extern uint32_t board_bss_end[];
extern void (*const board_constructors_begin[])();
extern void (*const board_constructors_end[])();
}

// Of binutils that take `csrr` for an extension of its own.
asm(".option arch, +zicsr");

namespace quantmcu {
namespace {

volatile uint8_t& Serial(uint32_t offset) {
  return *reinterpret_cast<volatile uint8_t*>(0x10000000 + offset);
}

constexpr uint32_t kTransmit = 0;
constexpr uint32_t kLineStatus = 5;
constexpr uint8_t kIsEmpty = 1 << 5;

volatile uint32_t& Finisher() { return *reinterpret_cast<volatile uint32_t*>(0x100000); }

constexpr uint32_t kFail = 0x3333;  // with the code above it, which may be 0

}  // namespace

void BoardWrite(const char* text) {
  for (; *text != '\0'; ++text) {
    while ((Serial(kLineStatus) & kIsEmpty) == 0) {
    }
    Serial(kTransmit) = static_cast<uint8_t>(*text);
  }
}

void BoardExit(int code) {
  for (;;) Finisher() = static_cast<uint32_t>(code) << 16 | kFail;
}

// QEMU's versions count different things in `minstret`.
uint64_t BoardInstructionCount() { return 0; }

// There is no memory protection unit; bytes are looked at instead.
bool BoardGuard(int, const uint8_t*) { return false; }

extern "C" [[noreturn]] void BoardTrap() {
  uint32_t cause, place, value;
  asm volatile("csrr %0, mcause" : "=r"(cause));
  asm volatile("csrr %0, mepc" : "=r"(place));
  asm volatile("csrr %0, mtval" : "=r"(value));
  BoardWrite("\nFAULT:\n");
  ReportHex("FAULT_CAUSE", cause);
  ReportHex("FAULT_PC", place);
  ReportHex("FAULT_ADDRESS", value);
  BoardExit(kBoardFaultExitCode);
}

extern "C" void BoardPrepare() {
  for (uint32_t* word = board_bss_begin; word != board_bss_end; ++word) *word = 0;
  for (auto construct = board_constructors_begin; construct != board_constructors_end;
       ++construct) {
    (*construct)();
  }
}

extern "C" [[noreturn]] void BoardEnd(int result_of_main) { BoardExit(result_of_main); }

// QEMU begins at the begin of memory, where rv32.ld puts this.
extern "C" [[noreturn, gnu::naked, gnu::section(".start")]] void BoardReset() {
  asm volatile(
      ".option push              \n"
      ".option norelax           \n"
      "la gp, __global_pointer$  \n"
      ".option pop               \n"
      "la sp, board_stack_end    \n"
      "la t0, BoardTrap          \n"
      "csrw mtvec, t0            \n"
      "call BoardPrepare         \n"
      "call main                 \n"
      "call BoardEnd             \n");
}

}  // namespace quantmcu
