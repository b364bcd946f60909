// The loops run in turns of four steps, and the first turn of a row begins behind what is too much of it: all
// instructions of a step have four bytes. Registers are saved here and not named as clobbered, as a
// compiler may keep one of them as its frame pointer.
#include "tflm_kernels/cortex_m/dsp/row_sums.h"

namespace quantmcu {
namespace dsp {

// clang-format off

// On the stack, of a lane: where a row of results ends, where its first turn begins, and what the loops read.
#define QMCU_ROW_END "[sp]"
#define QMCU_FIRST_TURN "[sp, #4]"
#define QMCU_ROWS "[sp, #8]"
#define QMCU_LANE_BYTES "[sp, #12]"
#define QMCU_ROW_BYTES "[sp, #16]"
#define QMCU_RESULTS_END "[sp, #20]"
#define QMCU_BIAS "[sp, #24]"
#define QMCU_ZERO_POINT "[sp, #28]"
#define QMCU_FACTOR "[sp, #32]"
#define QMCU_PLACE "[sp, #40]"  // of RowSums

// r0, r1, r2: rows of the input, r3: results, r4 to r9: weights, r10, r11: inputs, r12, lr: sums of two pixels.

#define QMCU_REQUANTIZE                   \
  "ldrd r10, r11, " QMCU_FACTOR "\n"      \
  "smmlar r12, r12, r10, r12\n"           \
  "smmlar lr, lr, r10, lr\n"              \
  "ldr.w r10, " QMCU_ZERO_POINT "\n"      \
  "add.w r12, r12, r12, asr #31\n"        \
  "add.w lr, lr, lr, asr #31\n"           \
  "smmlsr r12, r12, r11, r10\n"           \
  "smmlsr lr, lr, r11, r10\n"             \
  "ssat r12, #8, r12\n"                   \
  "ssat lr, #8, lr\n"                     \
  "strb r12, [r3], #4\n"                  \
  "strb lr, [r3], #4\n"

// Of one row of the window, whose weights are w01 and w12: its four columns are in r10 and r11.
#define QMCU_ROW(row, w01, w12, sum)         \
  "ldrd r10, r11, [" row "], #4\n"           \
  "smlad r12, r10, " w01 ", " sum "\n"       \
  "smlabt r12, r11, " w12 ", r12\n"          \
  "smlatb lr, r10, " w01 ", lr\n"            \
  "smlad lr, r11, " w12 ", lr\n"

#define QMCU_STEP                    \
  "ldr.w lr, " QMCU_BIAS "\n"        \
  QMCU_ROW("r0", "r4", "r5", "lr")   \
  QMCU_ROW("r1", "r6", "r7", "r12")  \
  QMCU_ROW("r2", "r8", "r9", "r12")  \
  QMCU_REQUANTIZE

void SumRows(RowSums& rows) {
  register RowSums* place asm("r0") = &rows;
  asm volatile(".p2align 2\n"
               "push {r0, r4-r11, lr}\n"
               "sub sp, sp, #40\n"
               "add r1, r0, #40\n"
               "ldmia r1, {r1-r3}\n"  // row_bytes, zero_point, skipped
               "str r1, " QMCU_ROW_BYTES "\n"
               "str r2, " QMCU_ZERO_POINT "\n"
               "mov r1, #4 * 28\n"
               "adr.w r2, 1f\n"
               "mla r3, r3, r1, r2\n"
               "orr r3, r3, #1\n"
               "str r3, " QMCU_FIRST_TURN "\n"
               "4:\n"
               "ldmia r0, {r1-r9}\n"  // to rows
               "str r3, " QMCU_LANE_BYTES "\n"
               "str r9, " QMCU_ROWS "\n"
               "add r8, r4, r8\n"
               "str r8, " QMCU_RESULTS_END "\n"
               "ldr r8, [r1]\n"
               "ldr r5, [r1, r5]\n"
               "ldr r6, [r1, r6]\n"
               "str r8, " QMCU_BIAS "\n"
               "mov r8, #-1\n"
               "add r5, r5, #32\n"
               "lsl r6, r6, #1\n"
               "lsl r5, r8, r5\n"
               "strd r6, r5, " QMCU_FACTOR "\n"
               "mov r10, r2\n"
               "mov r11, r4\n"
               "add r1, r1, #4\n"
               "add r2, r2, #24\n"
               "add r3, r3, r7\n"
               "add r4, r4, #1\n"
               "stmia r0, {r1-r4}\n"
               "mov r3, r11\n"
               "ldmia r10, {r4-r9}\n"
               "b 2f\n"
               ".p2align 2\n"
               "1:\n"
               QMCU_STEP QMCU_STEP QMCU_STEP QMCU_STEP
               "ldr r10, " QMCU_ROW_END "\n"
               "cmp r3, r10\n"
               "bne.w 1b\n"
               "ldr r11, " QMCU_RESULTS_END "\n"
               "cmp r3, r11\n"
               "beq 3f\n"
               "2:\n"
               "ldr r11, " QMCU_ROWS "\n"
               "ldr r12, " QMCU_LANE_BYTES "\n"
               "ldr r10, " QMCU_ROW_BYTES "\n"
               "ldmia r11, {r0-r2}\n"
               "add r11, r11, #4\n"
               "add r10, r10, r3\n"
               "add r0, r0, r12\n"
               "add r1, r1, r12\n"
               "add r2, r2, r12\n"
               "ldr r12, " QMCU_FIRST_TURN "\n"
               "str r11, " QMCU_ROWS "\n"
               "str r10, " QMCU_ROW_END "\n"
               "bx r12\n"
               "3:\n"
               "ldr r0, " QMCU_PLACE "\n"
               "ldr r1, [r0]\n"
               "ldr r2, [r0, #36]\n"  // bias_end
               "cmp r1, r2\n"
               "bne.w 4b\n"
               "add sp, sp, #44\n"
               "pop {r4-r11, lr}\n"
               : "+r"(place)
               :
               : "r1", "r2", "r3", "r12", "cc", "memory");
}

#undef QMCU_ROW
#undef QMCU_STEP

// clang-format on

}  // namespace dsp
}  // namespace quantmcu
