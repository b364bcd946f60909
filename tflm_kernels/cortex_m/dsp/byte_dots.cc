// The loops run in turns of four steps, and the first turn begins behind what is too much of it: all
// instructions of a step have four bytes. Registers are saved here and not named as clobbered, as a
// compiler may keep one of them as its frame pointer.
#include "tflm_kernels/cortex_m/dsp/byte_dots.h"

namespace quantmcu {
namespace dsp {

ByteDots MakeByteDots(const uint8_t* filter, int32_t filter_bytes, const uint32_t* columns,
                      int32_t num_pixels) {
  const int32_t num_steps = (filter_bytes + 3) / 4;
  return {filter,
          filter_bytes,
          4 * num_steps - filter_bytes,
          columns,
          columns + 2 * num_steps * num_pixels,
          -num_steps & 3,
          nullptr,
          nullptr};
}

// clang-format off

// From ByteDots at r0 to its words on the stack, with the address where the first turn begins in place of
// `skipped`. Leaves r0: filter, r1: filter_bytes, r2: that address. The address of 1: counts from a multiple
// of 4, which the compiler gives a function only where it optimises for speed.
#define QMCU_ENTER(instructions_of_a_step)    \
  ".p2align 2\n"                              \
  "push {r4-r11, lr}\n"                       \
  "ldr r1, [r0, #20]\n"                       \
  "mov r3, #4 * " instructions_of_a_step "\n" \
  "adr.w r2, 1f\n"                            \
  "mla r2, r1, r3, r2\n"                      \
  "orr r2, r2, #1\n"                          \
  "ldmia r0, {r0, r1, r3-r8}\n"               \
  "mov r6, r2\n"                              \
  "push {r0, r1, r3-r8}\n"

#define QMCU_FILTER_BYTES "[sp, #4]"
#define QMCU_SURPLUS "[sp, #8]"
#define QMCU_COLUMNS "[sp, #12]"
#define QMCU_COLUMNS_END "[sp, #16]"
#define QMCU_FIRST_TURN "[sp, #20]"
#define QMCU_SUMS "[sp, #24]"
#define QMCU_SUMS_END "[sp, #28]"

#define QMCU_LEAVE    \
  "add sp, sp, #32\n" \
  "pop {r4-r11, lr}\n"

#define QMCU_FOUR_TIMES(step) step step step step

#define QMCU_RUN(dots, code)                        \
  register const ByteDots* place asm("r0") = &dots; \
  asm volatile(code : "+r"(place) : : "r1", "r2", "r3", "r12", "cc", "memory")

// r0, r1: weights, r6: columns.
#define QMCU_STEP            \
  "ldr r7, [r0], #4\n"       \
  "ldr r8, [r1], #4\n"       \
  "ldmia.w r6!, {r2-r5}\n"   \
  "sxtb16 r9, r7\n"          \
  "smlad r10, r9, r2, r10\n" \
  "smlad r11, r9, r3, r11\n" \
  "sxtb16 r9, r8\n"          \
  "smlad r12, r9, r2, r12\n" \
  "smlad lr, r9, r3, lr\n"   \
  "sxtb16 r7, r7, ror #8\n"  \
  "smlad r10, r7, r4, r10\n" \
  "smlad r11, r7, r5, r11\n" \
  "sxtb16 r8, r8, ror #8\n"  \
  "smlad r12, r8, r4, r12\n" \
  "smlad lr, r8, r5, lr\n"

#define QMCU_CLEAR \
  "mov r10, #0\n"  \
  "mov r11, #0\n"  \
  "mov r12, #0\n"  \
  "mov lr, #0\n"

void SumTwoByTwo(const ByteDots& dots) {
  QMCU_RUN(dots,
           QMCU_ENTER("15")
           "add r1, r0, r1\n"
           "ldr r6, " QMCU_COLUMNS "\n"
           QMCU_CLEAR
           "bx r2\n"
           "1:\n"
           QMCU_FOUR_TIMES(QMCU_STEP)
           "ldr r9, " QMCU_COLUMNS_END "\n"
           "cmp r6, r9\n"
           "bne 1b\n"
           "ldr r2, " QMCU_SUMS "\n"
           "ldr r3, " QMCU_SUMS_END "\n"
           "ldr r4, " QMCU_SURPLUS "\n"
           "ldr r5, " QMCU_FILTER_BYTES "\n"
           "ldr r6, " QMCU_COLUMNS "\n"
           "ldr r7, " QMCU_FIRST_TURN "\n"
           "stmia r2!, {r10, r11, r12, lr}\n"
           "str r2, " QMCU_SUMS "\n"
           "sub r0, r1, r4\n"
           "add r1, r0, r5\n"
           QMCU_CLEAR
           "cmp r2, r3\n"
           "it ne\n"
           "bxne r7\n"
           QMCU_LEAVE);
}

#undef QMCU_STEP
#undef QMCU_CLEAR

// r0: weights, r1: columns.
#define QMCU_STEP            \
  "ldr r6, [r0], #4\n"       \
  "ldmia.w r1!, {r2-r5}\n"   \
  "sxtb16 r7, r6\n"          \
  "smlad r8, r7, r2, r8\n"   \
  "smlad r9, r7, r3, r9\n"   \
  "smlad r10, r7, r4, r10\n" \
  "smlad r11, r7, r5, r11\n" \
  "ldmia.w r1!, {r2-r5}\n"   \
  "sxtb16 r6, r6, ror #8\n"  \
  "smlad r8, r6, r2, r8\n"   \
  "smlad r9, r6, r3, r9\n"   \
  "smlad r10, r6, r4, r10\n" \
  "smlad r11, r6, r5, r11\n"

#define QMCU_CLEAR \
  "mov r8, #0\n"   \
  "mov r9, #0\n"   \
  "mov r10, #0\n"  \
  "mov r11, #0\n"

void SumOneByFour(const ByteDots& dots) {
  QMCU_RUN(dots,
           QMCU_ENTER("13")
           "mov lr, r2\n"
           "ldr r1, " QMCU_COLUMNS "\n"
           "ldr r12, " QMCU_COLUMNS_END "\n"
           QMCU_CLEAR
           "bx lr\n"
           "1:\n"
           QMCU_FOUR_TIMES(QMCU_STEP)
           "cmp r1, r12\n"
           "bne 1b\n"
           "ldr r2, " QMCU_SUMS "\n"
           "ldr r3, " QMCU_SUMS_END "\n"
           "ldr r4, " QMCU_SURPLUS "\n"
           "ldr r1, " QMCU_COLUMNS "\n"
           "stmia r2!, {r8-r11}\n"
           "str r2, " QMCU_SUMS "\n"
           "sub r0, r0, r4\n"
           QMCU_CLEAR
           "cmp r2, r3\n"
           "it ne\n"
           "bxne lr\n"
           QMCU_LEAVE);
}

#undef QMCU_STEP
#undef QMCU_CLEAR

// r0, r1: weights, r6: columns.
#define QMCU_STEP            \
  "ldr r7, [r0], #4\n"       \
  "ldr r8, [r1], #4\n"       \
  "ldr r2, [r6], #4\n"       \
  "ldr r3, [r6], #4\n"       \
  "sxtb16 r9, r7\n"          \
  "smlad r10, r9, r2, r10\n" \
  "sxtb16 r7, r7, ror #8\n"  \
  "smlad r10, r7, r3, r10\n" \
  "sxtb16 r9, r8\n"          \
  "smlad r11, r9, r2, r11\n" \
  "sxtb16 r8, r8, ror #8\n"  \
  "smlad r11, r8, r3, r11\n"

#define QMCU_CLEAR \
  "mov r10, #0\n"  \
  "mov r11, #0\n"

void SumTwoByOne(const ByteDots& dots) {
  QMCU_RUN(dots,
           QMCU_ENTER("12")
           "mov lr, r2\n"
           "add r1, r0, r1\n"
           "ldr r6, " QMCU_COLUMNS "\n"
           "ldr r12, " QMCU_COLUMNS_END "\n"
           QMCU_CLEAR
           "bx lr\n"
           "1:\n"
           QMCU_FOUR_TIMES(QMCU_STEP)
           "cmp r6, r12\n"
           "bne 1b\n"
           "ldr r2, " QMCU_SUMS "\n"
           "ldr r3, " QMCU_SUMS_END "\n"
           "ldr r4, " QMCU_SURPLUS "\n"
           "ldr r5, " QMCU_FILTER_BYTES "\n"
           "ldr r6, " QMCU_COLUMNS "\n"
           "stmia r2!, {r10, r11}\n"
           "str r2, " QMCU_SUMS "\n"
           "sub r0, r1, r4\n"
           "add r1, r0, r5\n"
           QMCU_CLEAR
           "cmp r2, r3\n"
           "it ne\n"
           "bxne lr\n"
           QMCU_LEAVE);
}

#undef QMCU_STEP
#undef QMCU_CLEAR

// clang-format on

}  // namespace dsp
}  // namespace quantmcu
