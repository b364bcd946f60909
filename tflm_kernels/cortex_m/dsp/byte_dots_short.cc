// Four pixels times a channel, for short filters.
#include "tflm_kernels/cortex_m/dsp/byte_dots.h"
#include "tflm_kernels/cortex_m/dsp/byte_dots_assembly.h"

namespace quantmcu {
namespace dsp {

// clang-format off

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

void SumOneByFour(ByteDots& dots) {
  QMCU_RUN(dots,
           QMCU_ENTER("13")
           "mov lr, r2\n"
           "ldr r1, " QMCU_COLUMNS "\n"
           "ldr r12, " QMCU_COLUMNS_END "\n"
           QMCU_CLEAR
           "bx lr\n"
           "1:\n"
           QMCU_EIGHT_TIMES(QMCU_STEP)
           "cmp r1, r12\n"
           "bne.w 1b\n"
           "ldr r2, " QMCU_SUMS "\n"
           "stmia r2!, {r8-r11}\n"
           "ldr r3, " QMCU_SUMS_END "\n"
           "ldr r4, " QMCU_SURPLUS "\n"
           "ldr r1, " QMCU_COLUMNS "\n"
           "str r2, " QMCU_SUMS "\n"
           "sub r0, r0, r4\n"
           QMCU_CLEAR
           "cmp r2, r3\n"
           "it ne\n"
           "bxne lr\n"
           QMCU_LEAVE);
}

// The bias of a channel at r3.
#define QMCU_BEGIN   \
  "ldr r8, [r3]\n"  \
  "mov r9, r8\n"    \
  "mov r10, r8\n"   \
  "mov r11, r8\n"

void MakeOneByFour(ByteDots& dots) {
  QMCU_RUN(dots,
           QMCU_ENTER("13")
           "mov lr, r2\n"
           "ldr r3, " QMCU_DOTS "\n"
           "ldr r3, [r3, " QMCU_BIAS "]\n"
           "ldr r1, " QMCU_COLUMNS "\n"
           "ldr r12, " QMCU_COLUMNS_END "\n"
           QMCU_BEGIN
           "bx lr\n"
           "1:\n"
           QMCU_EIGHT_TIMES(QMCU_STEP)
           "cmp r1, r12\n"
           "bne.w 1b\n"
           "ldr r2, " QMCU_DOTS "\n"
           "ldmia r2, {r1, r3-r6}\n"  // to zero_point
           "ldr r4, [r3, r4]\n"
           "ldr r5, [r3, r5]\n"
           "add r3, r3, #4\n"
           "str r3, [r2, " QMCU_BIAS "]\n"
           "mov r7, #-1\n"
           "add r4, r4, #32\n"
           "lsl r5, r5, #1\n"
           "lsl r4, r7, r4\n"
           QMCU_MULTIPLIED("r8", "r5")
           QMCU_MULTIPLIED("r9", "r5")
           QMCU_MULTIPLIED("r10", "r5")
           QMCU_MULTIPLIED("r11", "r5")
           QMCU_SHIFTED("r8")
           QMCU_SHIFTED("r9")
           QMCU_SHIFTED("r10")
           QMCU_SHIFTED("r11")
           QMCU_ROUNDED("r8", "r4", "r6")
           QMCU_ROUNDED("r9", "r4", "r6")
           QMCU_ROUNDED("r10", "r4", "r6")
           QMCU_ROUNDED("r11", "r4", "r6")
           "add r2, r2, " QMCU_RESULTS "\n"
           "ldmia r2, {r4-r7}\n"
           "cmp r3, r1\n"
           "strb r8, [r4], #1\n"
           "strb r9, [r5], #1\n"
           "strb r10, [r6], #1\n"
           "strb r11, [r7], #1\n"
           "stmia r2, {r4-r7}\n"
           "beq.w 2f\n"
           "ldrd r4, r1, " QMCU_SURPLUS "\n"  // and columns
           "sub r0, r0, r4\n"
           QMCU_BEGIN
           "bx lr\n"
           "2:\n"
           QMCU_LEAVE);
}

#undef QMCU_BEGIN
#undef QMCU_STEP
#undef QMCU_CLEAR

// clang-format on

}  // namespace dsp
}  // namespace quantmcu
