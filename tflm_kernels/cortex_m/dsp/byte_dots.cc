#include "tflm_kernels/cortex_m/dsp/byte_dots.h"

#include "tflm_kernels/cortex_m/dsp/byte_dots_assembly.h"
#include "tflm_kernels/cortex_m/dsp/fixed_point.h"

namespace quantmcu {
namespace dsp {

bool HasPlainResults(const FeatureMap& output, const Clamp& clamp, const ChannelTable& table) {
  return output.bits == 8 && clamp.min == -128 && clamp.max == 127 &&
         HasSmallFactors(table, output.channels);
}

ByteDots MakeByteDots(const uint8_t* filter, int32_t filter_bytes, const uint32_t* columns,
                      int32_t num_pixels, int32_t turn) {
  const int32_t num_steps = (filter_bytes + 3) / 4;
  ByteDots dots = {};
  dots.filter = filter;
  dots.filter_bytes = filter_bytes;
  dots.surplus = 4 * num_steps - filter_bytes;
  dots.columns = columns;
  dots.columns_end = columns + 2 * num_steps * num_pixels;
  dots.skipped = (turn - num_steps % turn) % turn;
  return dots;
}

// clang-format off

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

void SumTwoByTwo(ByteDots& dots) {
  QMCU_RUN(dots,
           QMCU_ENTER("15")
           "add r1, r0, r1\n"
           "ldr r6, " QMCU_COLUMNS "\n"
           QMCU_CLEAR
           "bx r2\n"
           "1:\n"
           QMCU_EIGHT_TIMES(QMCU_STEP)
           "ldr r9, " QMCU_COLUMNS_END "\n"
           "cmp r6, r9\n"
           "bne.w 1b\n"
           "ldr r2, " QMCU_SUMS "\n"
           "stmia r2!, {r10, r11, r12, lr}\n"
           "ldr r3, " QMCU_SUMS_END "\n"
           "ldr r4, " QMCU_SURPLUS "\n"
           "ldr r5, " QMCU_FILTER_BYTES "\n"
           "ldr r6, " QMCU_COLUMNS "\n"
           "ldr r7, " QMCU_FIRST_TURN "\n"
           "str r2, " QMCU_SUMS "\n"
           "sub r0, r1, r4\n"
           "add r1, r0, r5\n"
           QMCU_CLEAR
           "cmp r2, r3\n"
           "it ne\n"
           "bxne r7\n"
           QMCU_LEAVE);
}

// The biases of two channels at r3.
#define QMCU_BEGIN          \
  "ldrd r10, r12, [r3]\n"  \
  "mov r11, r10\n"         \
  "mov lr, r12\n"

void MakeTwoByTwo(ByteDots& dots) {
  QMCU_RUN(dots,
           QMCU_ENTER("15")
           "ldr r3, " QMCU_DOTS "\n"
           "ldr r3, [r3, " QMCU_BIAS "]\n"
           "add r1, r0, r1\n"
           "ldr r6, " QMCU_COLUMNS "\n"
           QMCU_BEGIN
           "bx r2\n"
           "1:\n"
           QMCU_EIGHT_TIMES(QMCU_STEP)
           QMCU_FOUR_TIMES(QMCU_STEP)
           "ldr r9, " QMCU_COLUMNS_END "\n"
           "cmp r6, r9\n"
           "bne.w 1b\n"
           "ldr r2, " QMCU_DOTS "\n"
           "ldmia r2, {r0, r3-r6}\n"  // to zero_point
           "add r4, r3, r4\n"
           "add r5, r3, r5\n"
           "ldrd r8, r9, [r4]\n"
           "ldrd r4, r5, [r5]\n"
           "add r3, r3, #8\n"
           "str r3, [r2, " QMCU_BIAS "]\n"
           "mov r7, #-1\n"
           "add r8, r8, #32\n"
           "add r9, r9, #32\n"
           "lsl r4, r4, #1\n"
           "lsl r5, r5, #1\n"
           "lsl r8, r7, r8\n"
           "lsl r9, r7, r9\n"
           QMCU_MULTIPLIED("r10", "r4")
           QMCU_MULTIPLIED("r11", "r4")
           QMCU_MULTIPLIED("r12", "r5")
           QMCU_MULTIPLIED("lr", "r5")
           QMCU_SHIFTED("r10")
           QMCU_SHIFTED("r11")
           QMCU_SHIFTED("r12")
           QMCU_SHIFTED("lr")
           QMCU_ROUNDED("r10", "r8", "r6")
           QMCU_ROUNDED("r11", "r8", "r6")
           QMCU_ROUNDED("r12", "r9", "r6")
           QMCU_ROUNDED("lr", "r9", "r6")
           "ldrd r4, r5, [r2, " QMCU_RESULTS "]\n"
           "cmp r3, r0\n"
           "strb r10, [r4], #1\n"
           "strb r11, [r5], #1\n"
           "strb r12, [r4], #1\n"
           "strb lr, [r5], #1\n"
           "strd r4, r5, [r2, " QMCU_RESULTS "]\n"
           "beq.w 2f\n"
           "ldr r5, " QMCU_FILTER_BYTES "\n"
           "ldr r6, " QMCU_COLUMNS "\n"
           "ldr r7, " QMCU_FIRST_TURN "\n"
           "mov r0, r1\n"
           "add r1, r1, r5\n"
           QMCU_BEGIN
           "bx r7\n"
           "2:\n"
           QMCU_LEAVE);
}

#undef QMCU_BEGIN
#undef QMCU_STEP
#undef QMCU_CLEAR

// Four weights of a channel, which meet r8 and r9.
#define QMCU_CHANNEL(weights, sum)               \
  "sxtb16 r12, " weights "\n"                    \
  "smlad " sum ", r12, r8, " sum "\n"            \
  "sxtb16 " weights ", " weights ", ror #8\n"    \
  "smlad " sum ", " weights ", r9, " sum "\n"

// r0: weights of the first channel, r1: bytes to the next one, r2: to the fourth, r3: columns.
#define QMCU_STEP                    \
  "ldr.w r10, [r0, r1]\n"            \
  "ldr.w r11, [r0, r1, lsl #1]\n"    \
  "ldrd r8, r9, [r3], #8\n"          \
  QMCU_CHANNEL("r10", "r5")          \
  QMCU_CHANNEL("r11", "r6")          \
  "ldr.w r10, [r0, r2]\n"            \
  "ldr r11, [r0], #4\n"              \
  QMCU_CHANNEL("r10", "r7")          \
  QMCU_CHANNEL("r11", "r4")

#define QMCU_CLEAR \
  "mov r4, #0\n"   \
  "mov r5, #0\n"   \
  "mov r6, #0\n"   \
  "mov r7, #0\n"

void SumFourByOne(ByteDots& dots) {
  QMCU_RUN(dots,
           QMCU_ENTER("21")
           "mov r12, r2\n"
           "add r2, r1, r1, lsl #1\n"
           "ldr r3, " QMCU_COLUMNS "\n"
           "ldr lr, " QMCU_COLUMNS_END "\n"
           QMCU_CLEAR
           "bx r12\n"
           "1:\n"
           QMCU_STEP QMCU_STEP QMCU_STEP
           "cmp r3, lr\n"
           "bne.w 1b\n"
           "ldr r8, " QMCU_SUMS "\n"
           "ldr r9, " QMCU_SUMS_END "\n"
           "ldr r10, " QMCU_SURPLUS "\n"
           "ldr r12, " QMCU_FIRST_TURN "\n"
           "ldr r3, " QMCU_COLUMNS "\n"
           "stmia r8!, {r4-r7}\n"
           "str r8, " QMCU_SUMS "\n"
           "sub r0, r0, r10\n"
           "add r0, r0, r2\n"
           QMCU_CLEAR
           "cmp r8, r9\n"
           "it ne\n"
           "bxne r12\n"
           QMCU_LEAVE);
}

#undef QMCU_CHANNEL
#undef QMCU_STEP
#undef QMCU_CLEAR

// clang-format on

}  // namespace dsp
}  // namespace quantmcu
