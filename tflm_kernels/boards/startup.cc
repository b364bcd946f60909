// boards/startup.cc - from reset to main and from main to BoardExit, on every Cortex-M.
//
// Memory   sections.ld. No heap; the constructors of static objects run, their destructors do not.
#include "tflm_kernels/boards/startup.h"

#include <stdint.h>

#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/fault.h"
#include "tflm_kernels/boards/registers.h"

// From sections.ld; they are addresses.
extern "C" {
extern const uint32_t board_data_load[];
extern uint32_t board_data_begin[];
extern uint32_t board_data_end[];
extern uint32_t board_bss_begin[];
extern uint32_t board_bss_end[];
extern void (*const board_constructors_begin[])();
extern void (*const board_constructors_end[])();
extern uint32_t board_stack_end[];
}

namespace quantmcu {

extern "C" [[noreturn]] void BoardEnd(int result_of_main) {
  CheckStack();
  BoardExit(result_of_main);
}

extern "C" void BoardPrepare() {
#ifdef __ARM_ARCH_6M__
  // ARMv6-M has no unaligned accesses: a larger core that stands in for one must not allow them.
  Register(kConfigurationControl) = Register(kConfigurationControl) | kTrapUnalignedAccesses;
#endif
  const uint32_t* source = board_data_load;
  for (uint32_t* word = board_data_begin; word != board_data_end; ++word) *word = *source++;
  for (uint32_t* word = board_bss_begin; word != board_bss_end; ++word) *word = 0;
  for (auto construct = board_constructors_begin; construct != board_constructors_end;
       ++construct) {
    (*construct)();
  }
  GuardStack();
  BoardStartClock();
}

// In assembly, because no compiled function may run before the FPU and MVE are enabled.
extern "C" [[noreturn]] __attribute__((naked)) void BoardReset() {
  asm volatile(
#ifdef __ARM_FP
      "ldr r0, =0xE000ED88     \n"  // CPACR: full access to coprocessors 10 and 11
      "ldr r1, [r0]            \n"
      "orr r1, r1, #0x00F00000 \n"
      "str r1, [r0]            \n"
      "dsb                     \n"
      "isb                     \n"
#endif
      "bl BoardPrepare         \n"
      "bl main                 \n"
      "bl BoardEnd             \n");
}

namespace {

struct Vectors {
  const uint32_t* stack_end;
  void (*handlers[15])();  // exceptions 1 to 15; interrupts stay disabled
};

[[gnu::section(".vectors"), gnu::used]] const Vectors kVectors = {
    board_stack_end,
    {BoardReset, BoardFault, BoardFault, BoardFault, BoardFault, BoardFault, BoardFault, BoardFault,
     BoardFault, BoardFault, BoardFault, BoardFault, BoardFault, BoardFault, BoardFault}};

}  // namespace
}  // namespace quantmcu
