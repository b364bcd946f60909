#include "tflm_kernels/cortex_m/plain/dots.h"

namespace quantmcu {
namespace plain {

#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M' && __ARM_ARCH_ISA_THUMB == 1

// A tap of both pixels, whose values stand `offset` bytes behind r0, with both channels, whose weights stand r3 behind r1
// and r2; the sums are r8 to r11.
#define QUANTMCU_TAP(offset, step) \
  "ldr r4, [r0, #" offset          \
  "]\n"                            \
  "ldrsb r6, [r1, r3]\n" step      \
  "sxth r5, r4\n"                  \
  "asrs r4, r4, #16\n"             \
  "movs r7, r5\n"                  \
  "muls r7, r6\n"                  \
  "add r8, r7\n"                   \
  "muls r6, r4\n"                  \
  "add r9, r6\n"                   \
  "ldrsb r6, [r2, r3]\n"           \
  "muls r5, r6\n"                  \
  "add r10, r5\n"                  \
  "muls r4, r6\n"                  \
  "add r11, r4\n"                  \
  "adds r3, #1\n"

static_assert(sizeof(WeightRuns) == 12, "first, second, num_bytes");

// All of it, for compilers keep registers that it needs: GCC the high ones at -Os, clang r7.
[[gnu::naked]] void DotBytesOfTwo(const int16_t* /*columns*/, const WeightRuns& /*weights*/,
                                  int32_t* /*sums*/) {
  asm(".syntax unified\n"
      "push {r4-r7, lr}\n"
      "mov r4, r8\n"
      "mov r5, r9\n"
      "mov r6, r10\n"
      "mov r7, r11\n"
      "push {r2, r4-r7}\n"
      "ldr r3, [r1, #8]\n"
      "movs r4, #3\n"
      "ands r4, r3\n"
      "mov r12, r4\n"  // taps behind the last four
      "subs r3, r4, r3\n"
      "ldr r2, [r1, #4]\n"
      "ldr r1, [r1]\n"
      "subs r1, r1, r3\n"
      "subs r2, r2, r3\n"
      "movs r4, #0\n"
      "mov r8, r4\n"
      "mov r9, r4\n"
      "mov r10, r4\n"
      "mov r11, r4\n"
      "cmp r3, #0\n"
      "beq 2f\n"
      "1:\n" QUANTMCU_TAP("0", "") QUANTMCU_TAP("4", "") QUANTMCU_TAP("8", "")
          QUANTMCU_TAP("12", "adds r0, #16\n") "bne 1b\n"
      "2:\n"
      "cmp r3, r12\n"
      "beq 4f\n"
      "3:\n" QUANTMCU_TAP("0", "adds r0, #4\n") "cmp r3, r12\n"
      "bne 3b\n"
      "4:\n"
      "pop {r0}\n"
      "mov r4, r8\n"
      "mov r5, r9\n"
      "mov r6, r10\n"
      "mov r7, r11\n"
      "stmia r0!, {r4-r7}\n"
      "pop {r4-r7}\n"
      "mov r8, r4\n"
      "mov r9, r5\n"
      "mov r10, r6\n"
      "mov r11, r7\n"
      "pop {r4-r7, pc}\n");
}

// A tap of one pixel, whose value stands in `value`, with both channels; the sums are r8 and r9.
#define QUANTMCU_ONE(value) \
  "ldrsb r6, [r1, r3]\n"    \
  "ldrsb r7, [r2, r3]\n"    \
  "muls r6, " value         \
  "\n"                      \
  "muls r7, " value         \
  "\n"                      \
  "add r8, r6\n"            \
  "add r9, r7\n"            \
  "adds r3, #1\n"

// All of it; `load` puts two values in `first` and `second` and goes on. r12: whether there is a tap behind the pairs.
#define QUANTMCU_DOT_OF_ONE(load, first, second) \
  asm(".syntax unified\n" \
      "push {r4-r7, lr}\n" \
      "mov r4, r8\n" \
      "mov r5, r9\n" \
      "push {r2, r4, r5}\n" \
      "ldr r3, [r1, #8]\n" \
      "movs r4, #1\n" \
      "ands r4, r3\n" \
      "mov r12, r4\n" \
      "subs r3, r4, r3\n" \
      "ldr r2, [r1, #4]\n" \
      "ldr r1, [r1]\n" \
      "subs r1, r1, r3\n" \
      "subs r2, r2, r3\n" \
      "movs r4, #0\n" \
      "mov r8, r4\n" \
      "mov r9, r4\n" \
      "cmp r3, #0\n" \
      "beq 2f\n" \
      "1:\n" \
      load QUANTMCU_ONE(first) QUANTMCU_ONE(second) "bne 1b\n" \
      "2:\n" \
      "cmp r3, r12\n" \
      "beq 4f\n" \
      "movs r4, #0\n" \
      "ldrsh r4, [r0, r4]\n" QUANTMCU_ONE("r4") \
      "4:\n" \
      "pop {r0, r4, r5}\n" \
      "mov r6, r8\n" \
      "mov r7, r9\n" \
      "stmia r0!, {r6, r7}\n" \
      "mov r8, r4\n" \
      "mov r9, r5\n" \
      "pop {r4-r7, pc}\n")

[[gnu::naked]] void DotBytesOfOne(const int16_t* /*columns*/, const WeightRuns& /*weights*/,
                                  int32_t* /*sums*/) {
  QUANTMCU_DOT_OF_ONE(
      "ldmia r0!, {r4}\n"
      "sxth r5, r4\n"
      "asrs r4, r4, #16\n",
      "r5", "r4");
}

[[gnu::naked]] void DotBytesOfFirst(const int16_t* /*columns*/, const WeightRuns& /*weights*/,
                                    int32_t* /*sums*/) {
  QUANTMCU_DOT_OF_ONE(
      "ldmia r0!, {r4, r5}\n"
      "sxth r4, r4\n"
      "sxth r5, r5\n",
      "r4", "r5");
}

#elif defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'

static_assert(sizeof(WeightRuns) == 12, "first, second, num_bytes");

// A tap of both pixels with both channels.
#define QUANTMCU_TAP       \
  "ldrsh r4, [r0], #2\n"   \
  "ldrsh r5, [r0], #2\n"   \
  "ldrsb r6, [r1], #1\n"   \
  "ldrsb r7, [r2], #1\n"   \
  "mla r8, r4, r6, r8\n"   \
  "mla r9, r5, r6, r9\n"   \
  "mla r10, r4, r7, r10\n" \
  "mla r11, r5, r7, r11\n"

// All of it, for clang keeps a register that it needs.
[[gnu::naked]] void DotBytesOfTwo(const int16_t* /*columns*/, const WeightRuns& /*weights*/,
                                  int32_t* /*sums*/) {
  asm("push {r2, r4-r11, lr}\n"
      "ldr r3, [r1, #8]\n"
      "ldr r2, [r1, #4]\n"
      "ldr r1, [r1]\n"
      "and r12, r3, #3\n"
      "mov r8, #0\n"
      "mov r9, #0\n"
      "mov r10, #0\n"
      "mov r11, #0\n"
      "lsrs r3, r3, #2\n"
      "beq 2f\n"
      "1:\n" QUANTMCU_TAP QUANTMCU_TAP QUANTMCU_TAP QUANTMCU_TAP
      "subs r3, r3, #1\n"
      "bne 1b\n"
      "2:\n"
      "cmp r12, #0\n"
      "beq 4f\n"
      "3:\n" QUANTMCU_TAP
      "subs r12, r12, #1\n"
      "bne 3b\n"
      "4:\n"
      "pop {r0}\n"
      "stmia r0, {r8-r11}\n"
      "pop {r4-r11, pc}\n");
}

// A tap of one pixel with both channels.
#define QUANTMCU_ONE(step) \
  "ldrsh r4, [r0], #" step \
  "\n"                     \
  "ldrsb r5, [r1], #1\n"   \
  "ldrsb r6, [r2], #1\n"   \
  "mla r8, r4, r5, r8\n"   \
  "mla r9, r4, r6, r9\n"

// All of it; values stand `step` bytes apart.
#define QUANTMCU_DOT_OF_ONE(step) \
  asm("push {r2, r4-r9, lr}\n" \
      "ldr r3, [r1, #8]\n" \
      "ldr r2, [r1, #4]\n" \
      "ldr r1, [r1]\n" \
      "and r12, r3, #3\n" \
      "mov r8, #0\n" \
      "mov r9, #0\n" \
      "lsrs r3, r3, #2\n" \
      "beq 2f\n" \
      "1:\n" QUANTMCU_ONE(step) QUANTMCU_ONE(step) QUANTMCU_ONE(step) QUANTMCU_ONE(step) \
      "subs r3, r3, #1\n" \
      "bne 1b\n" \
      "2:\n" \
      "cmp r12, #0\n" \
      "beq 4f\n" \
      "3:\n" QUANTMCU_ONE(step) \
      "subs r12, r12, #1\n" \
      "bne 3b\n" \
      "4:\n" \
      "pop {r0}\n" \
      "stmia r0, {r8, r9}\n" \
      "pop {r4-r9, pc}\n")

[[gnu::naked]] void DotBytesOfOne(const int16_t* /*columns*/, const WeightRuns& /*weights*/,
                                  int32_t* /*sums*/) {
  QUANTMCU_DOT_OF_ONE("2");
}

[[gnu::naked]] void DotBytesOfFirst(const int16_t* /*columns*/, const WeightRuns& /*weights*/,
                                    int32_t* /*sums*/) {
  QUANTMCU_DOT_OF_ONE("4");
}

#else

void DotBytesOfOne(const int16_t* column, const WeightRuns& weights, int32_t* sums) {
  DotOfOne<8, 1>(column, weights, sums);
}

void DotBytesOfFirst(const int16_t* columns, const WeightRuns& weights, int32_t* sums) {
  DotOfOne<8, 2>(columns, weights, sums);
}

void DotBytesOfTwo(const int16_t* columns, const WeightRuns& weights, int32_t* sums) {
  for (int32_t s = 0; s < 4; ++s) {
    const uint8_t* run = s < 2 ? weights.first : weights.second;
    sums[s] = 0;
    for (int32_t i = 0; i < weights.num_bytes; ++i) {
      sums[s] = WrappingAdd(sums[s], columns[2 * i + s % 2] * static_cast<int8_t>(run[i]));
    }
  }
}

#endif

}  // namespace plain
}  // namespace quantmcu
