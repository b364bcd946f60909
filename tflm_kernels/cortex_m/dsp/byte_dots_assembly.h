// cortex_m/dsp/byte_dots_assembly.h - what the loops of byte_dots.h share: how they are entered and left, and the steps
// of requantising. For byte_dots*.cc alone.
//
// The loops run in turns of three, eight or twelve steps, and the first turn begins behind what is too much of it: all
// instructions of a step have four bytes. Registers are saved here and not named as clobbered, as a
// compiler may keep one of them as its frame pointer.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_BYTE_DOTS_ASSEMBLY_H_
#define TFLM_KERNELS_CORTEX_M_DSP_BYTE_DOTS_ASSEMBLY_H_

#include "tflm_kernels/cortex_m/dsp/byte_dots.h"

// clang-format off

// From ByteDots at r0 to its words on the stack, with the address where the first turn begins in place of
// `skipped`. Leaves r0: filter, r1: filter_bytes, r2: that address. The address of 1: counts from a multiple
// of 4, which the compiler gives a function only where it optimises for speed.
#define QMCU_ENTER(instructions_of_a_step)    \
  ".p2align 2\n"                              \
  "push {r0, r4-r11, lr}\n"                   \
  "add r6, r0, #36\n"                         \
  "ldr r1, [r6, #20]\n"                       \
  "mov r3, #4 * " instructions_of_a_step "\n" \
  "adr.w r2, 1f\n"                            \
  "mla r2, r1, r3, r2\n"                      \
  "orr r2, r2, #1\n"                          \
  "ldmia r6, {r0, r1, r3-r8}\n"               \
  "mov r6, r2\n"                              \
  "push {r0, r1, r3-r8}\n"

#define QMCU_FILTER_BYTES "[sp, #4]"
#define QMCU_SURPLUS "[sp, #8]"
#define QMCU_COLUMNS "[sp, #12]"
#define QMCU_COLUMNS_END "[sp, #16]"
#define QMCU_FIRST_TURN "[sp, #20]"
#define QMCU_SUMS "[sp, #24]"
#define QMCU_SUMS_END "[sp, #28]"

#define QMCU_DOTS "[sp, #32]"

#define QMCU_LEAVE    \
  "add sp, sp, #36\n" \
  "pop {r4-r11, lr}\n"

// From ByteDots, whose first words are bias_end, bias, shift_bytes, multiplier_bytes and zero_point.
#define QMCU_BIAS "#4"
#define QMCU_RESULTS "#20"

// The steps of requantising: `value` becomes that of pixel and channel.
#define QMCU_SHIFTED(value) "add.w " value ", " value ", " value ", asr #31\n"
#define QMCU_MULTIPLIED(value, multiplier) "smmlar " value ", " value ", " multiplier ", " value "\n"
#define QMCU_ROUNDED(value, power, zero_point) \
  "smmlsr " value ", " value ", " power ", " zero_point "\n" \
  "ssat " value ", #8, " value "\n"

#define QMCU_FOUR_TIMES(step) step step step step
#define QMCU_EIGHT_TIMES(step) QMCU_FOUR_TIMES(step) QMCU_FOUR_TIMES(step)

#define QMCU_RUN(dots, code)                        \
  register ByteDots* place asm("r0") = &dots; \
  asm volatile(code : "+r"(place) : : "r1", "r2", "r3", "r12", "cc", "memory")

// clang-format on

#endif  // TFLM_KERNELS_CORTEX_M_DSP_BYTE_DOTS_ASSEMBLY_H_
