// Small, not fast: it sees a handful of values.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/portable/ops/softmax.h"

#include "tflm_kernels/portable/law/exponential.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace reference {
namespace {

constexpr int32_t kInputBits = 5;
constexpr int32_t kSumBits = 12;

int32_t Largest(const int8_t* row, int32_t depth) {
  int32_t largest = QMin(8);
  for (int32_t i = 0; i < depth; ++i) largest = row[i] > largest ? row[i] : largest;
  return largest;
}

// e^(x - largest) in Q0, 0 for what is too small to count.
int32_t Exp(const SoftmaxParams& params, int32_t difference) {
  if (difference < params.smallest_difference) return 0;
  return ExpOfNegative(Multiply(difference, params.multiplier), kInputBits);
}

int32_t NumLeadingZeros(uint32_t a) {
  int32_t count = 0;
  for (uint32_t bit = uint32_t{1} << 31; bit != 0 && (a & bit) == 0; bit >>= 1) ++count;
  return count;
}

void SoftmaxRow(const SoftmaxParams& params, const int8_t* input, int8_t* output) {
  const int32_t largest = Largest(input, params.depth);
  uint32_t sum = 0;
  for (int32_t i = 0; i < params.depth; ++i) {
    const int32_t e = Exp(params, input[i] - largest);
    sum += static_cast<uint32_t>(RoundingDivideByPowerOfTwo(e, kSumBits));
  }
  // sum = (1 + fraction) * 2^(31 - headroom); the largest value alone makes it at least 1.
  const int32_t headroom = NumLeadingZeros(sum);
  const auto fraction = static_cast<int32_t>((sum << headroom) - (uint32_t{1} << 31));
  const int32_t reciprocal = ReciprocalOfOnePlus(fraction);
  const int32_t right_shift = kSumBits - headroom + 31 - 8;
  for (int32_t i = 0; i < params.depth; ++i) {
    const int32_t e = Exp(params, input[i] - largest);
    const int32_t product = RoundingDoublingHighMultiply(reciprocal, e);
    const int32_t share = right_shift < 32 ? RoundingDivideByPowerOfTwo(product, right_shift) : 0;
    const int32_t y = share + QMin(8);
    output[i] = static_cast<int8_t>(y > QMax(8) ? QMax(8) : y);
  }
}

}  // namespace

void Softmax(const SoftmaxParams& params, const uint8_t* input, uint8_t* output) {
  for (int32_t row = 0; row < params.rows; ++row) {
    const int32_t first = row * params.depth;
    SoftmaxRow(params, reinterpret_cast<const int8_t*>(input + first),
               reinterpret_cast<int8_t*>(output + first));
  }
}

}  // namespace reference
}  // namespace quantmcu
