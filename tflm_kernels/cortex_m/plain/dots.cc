#include "tflm_kernels/cortex_m/plain/dots.h"

namespace quantmcu {
namespace plain {

#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M' && __ARM_ARCH_ISA_THUMB == 1

// A tap of both pixels, whose values stand `offset` bytes behind, with both channels.
#define QUANTMCU_TAP(offset, step)   \
  "ldr %[a], [%[x], #" offset        \
  "]\n"                              \
  "ldrsb %[c], [%[w0], %[i]]\n" step \
  "sxth %[b], %[a]\n"                \
  "asrs %[a], %[a], #16\n"           \
  "movs %[d], %[b]\n"                \
  "muls %[d], %[c]\n"                \
  "add %[s0], %[d]\n"                \
  "muls %[c], %[a]\n"                \
  "add %[s1], %[c]\n"                \
  "ldrsb %[c], [%[w1], %[i]]\n"      \
  "muls %[b], %[c]\n"                \
  "add %[s2], %[b]\n"                \
  "muls %[a], %[c]\n"                \
  "add %[s3], %[a]\n"                \
  "adds %[i], #1\n"

void DotBytesOfTwo(const int16_t* columns, const WeightRuns& weights, int32_t* sums) {
  const int32_t rest = weights.num_bytes & 3;
  int32_t i = rest - weights.num_bytes;
  const uint8_t* w0 = weights.first - i;
  const uint8_t* w1 = weights.second - i;
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, a, b, c, d;
  asm(".syntax unified\n"
      "cmp %[i], #0\n"
      "beq 2f\n"
      "1:\n" QUANTMCU_TAP("0", "") QUANTMCU_TAP("4", "") QUANTMCU_TAP("8", "")
          QUANTMCU_TAP("12", "adds %[x], #16\n") "bne 1b\n"
      "2:\n"
      "cmp %[i], %[rest]\n"
      "beq 4f\n"
      "3:\n" QUANTMCU_TAP("0", "adds %[x], #4\n") "cmp %[i], %[rest]\n"
      "bne 3b\n"
      "4:\n"
      : [x] "+l"(columns), [w0] "+l"(w0), [w1] "+l"(w1), [i] "+l"(i), [a] "=&l"(a), [b] "=&l"(b),
        [c] "=&l"(c), [d] "=&l"(d), [s0] "+h"(s0), [s1] "+h"(s1), [s2] "+h"(s2), [s3] "+h"(s3)
      : [rest] "h"(rest)
      : "cc", "memory");
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

#elif defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'

#define QUANTMCU_TAP               \
  "ldrsh %[a], [%[x]], #2\n"       \
  "ldrsh %[b], [%[x]], #2\n"       \
  "ldrsb %[c], [%[w0]], #1\n"      \
  "ldrsb %[d], [%[w1]], #1\n"      \
  "mla %[s0], %[a], %[c], %[s0]\n" \
  "mla %[s1], %[b], %[c], %[s1]\n" \
  "mla %[s2], %[a], %[d], %[s2]\n" \
  "mla %[s3], %[b], %[d], %[s3]\n"

void DotBytesOfTwo(const int16_t* columns, const WeightRuns& weights, int32_t* sums) {
  const uint8_t* w0 = weights.first;
  const uint8_t* w1 = weights.second;
  int32_t fours = weights.num_bytes >> 2;
  int32_t rest = weights.num_bytes & 3;
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, a, b, c, d;
  asm("cmp %[fours], #0\n"
      "beq 2f\n"
      "1:\n" QUANTMCU_TAP QUANTMCU_TAP QUANTMCU_TAP QUANTMCU_TAP
      "subs %[fours], #1\n"
      "bne 1b\n"
      "2:\n"
      "cmp %[rest], #0\n"
      "beq 4f\n"
      "3:\n" QUANTMCU_TAP
      "subs %[rest], #1\n"
      "bne 3b\n"
      "4:\n"
      : [x] "+r"(columns), [w0] "+r"(w0), [w1] "+r"(w1), [fours] "+l"(fours), [rest] "+l"(rest),
        [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d), [s0] "+r"(s0), [s1] "+r"(s1),
        [s2] "+r"(s2), [s3] "+r"(s3)
      :
      : "cc", "memory");
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

#else

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
