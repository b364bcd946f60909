// portable/law/softmax_rows.h - what softmax and its logarithm need of an int8 row: its largest value, exponentials.
//
// docs/arithmetic.md A14.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_LAW_SOFTMAX_ROWS_H_
#define TFLM_KERNELS_PORTABLE_LAW_SOFTMAX_ROWS_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/exponential.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {

constexpr int32_t kDifferenceBits = 5;  // integer bits of a difference to the largest value
constexpr int32_t kSumBits = 12;        // of a sum of exponentials

inline int32_t LargestOf(const int8_t* row, int32_t depth) {
  int32_t largest = QMin(8);
  for (int32_t i = 0; i < depth; ++i) largest = row[i] > largest ? row[i] : largest;
  return largest;
}

// e^(x - largest) in Q0, 0 for what is too small to count. Params: smallest_difference, multiplier.
template <typename Params>
int32_t ExpOfDifference(const Params& params, int32_t difference) {
  if (difference < params.smallest_difference) return 0;
  return ExpOfNegative(Multiply(difference, params.multiplier), kDifferenceBits);
}

// In Q12; the largest value alone makes it at least 1.
template <typename Params>
uint32_t SumOfExps(const Params& params, const int8_t* row, int32_t largest) {
  uint32_t sum = 0;
  for (int32_t i = 0; i < params.depth; ++i) {
    const int32_t e = ExpOfDifference(params, row[i] - largest);
    sum += static_cast<uint32_t>(RoundingDivideByPowerOfTwo(e, kSumBits));
  }
  return sum;
}

// Of a number above 0.
inline int32_t NumLeadingZeros(uint32_t a) {
  int32_t count = 0;
  for (; static_cast<int32_t>(a) > 0; a <<= 1) ++count;
  return count;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_LAW_SOFTMAX_ROWS_H_
