// Small, not fast: it sees a handful of values.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/portable/ops/log_softmax.h"

#include "tflm_kernels/portable/law/softmax_rows.h"

namespace quantmcu {
namespace reference {
namespace {

constexpr int32_t kOutputBits = 4;  // before the point

int32_t Smaller(int32_t a, int32_t b) { return a < b ? a : b; }
int32_t Larger(int32_t a, int32_t b) { return a > b ? a : b; }

// log(r) of r near the fourth root of 1/2, both in Q0, as a quotient of two polynomials; in Q6.
int32_t LogNearRoot(int32_t r) {
  constexpr int32_t kRootOfRootOfHalf = 1805811301;
  constexpr int32_t kAlphaN = 117049297;   // 11/240 * 2^(1/4)
  constexpr int32_t kAlphaD = 127690142;   // 1/20 * 2^(1/4)
  constexpr int32_t kAlphaI = 1057819769;  // 2 * 2^(-1/4) - 2^(1/4)
  constexpr int32_t kAlphaF = 638450708;   // 1/4 * 2^(1/4)
  const auto& times = RoundingDoublingHighMultiply;
  const int64_t sum = int64_t{r} + kRootOfRootOfHalf;
  const auto p = static_cast<int32_t>((sum + (sum >= 0 ? 1 : -1)) / 2);
  const int32_t q = 2 * (r - kRootOfRootOfHalf);
  const int32_t square = times(q, q);
  const int32_t numerator = times(q, r) + times(times(q, square), kAlphaN);
  const int32_t denominator =
      times(p, kAlphaI + q + times(square, kAlphaD)) + times(q, kAlphaF);  // less 1
  return times(RoundingDivideByPowerOfTwo(numerator, 6), ReciprocalOfOnePlus(denominator));
}

// log(z) in Q5 of z >= 1 in Q12: z is brought to [1/2, 1) in two ways, of which the smaller result lies near the fourth
// root of 1/2.
int32_t LogOf(int32_t z) {
  constexpr int32_t kLogOf2 = 1488522236;
  constexpr int32_t kRootOfHalf = 1518500250;
  constexpr int32_t kQuarter = 1 << 23;  // in Q6
  constexpr int32_t kOneBits = 25;       // of 1 in Q6
  const int32_t zeros = NumLeadingZeros(static_cast<uint32_t>(z));
  const int32_t whole = SaturatingShiftLeft(z, zeros - 1);
  const int32_t r_a = SaturatingShiftLeft(RoundingDoublingHighMultiply(whole, kRootOfHalf), 1);
  const int32_t power_a = (kSumBits - zeros) * (1 << kOneBits) + kQuarter;
  const int32_t z_b = RoundingDoublingHighMultiply(z, kRootOfHalf);
  const int32_t zeros_b = NumLeadingZeros(static_cast<uint32_t>(z_b)) - 1;
  const int32_t r_b = SaturatingShiftLeft(z, zeros_b);
  const int32_t power_b = (kSumBits - zeros_b) * (1 << kOneBits) - kQuarter;
  const int32_t log_of_power = RoundingDoublingHighMultiply(Larger(power_a, power_b), kLogOf2);
  return SaturatingShiftLeft(log_of_power + LogNearRoot(Smaller(r_a, r_b)), 1);
}

void LogSoftmaxRow(const LogSoftmaxParams& params, const int8_t* input, int8_t* output) {
  const int32_t largest = LargestOf(input, params.depth);
  const int32_t log_of_sum = LogOf(static_cast<int32_t>(SumOfExps(params, input, largest)));
  // What lies as far below as this, or further, is the smallest value.
  const int32_t too_small =
      Larger(params.smallest_difference - 1, Multiply(log_of_sum + INT32_MIN, params.divisor));
  for (int32_t i = 0; i < params.depth; ++i) {
    const int32_t difference = input[i] - largest;
    int32_t y = QMin(8);
    if (difference > too_small) {
      const int32_t log = WrappingAdd(Multiply(difference, params.multiplier), -log_of_sum);
      y += RoundingDivideByPowerOfTwo(log, 31 - kDifferenceBits - kOutputBits) + QMax(8) - QMin(8);
    }
    output[i] = static_cast<int8_t>(Smaller(Larger(y, QMin(8)), QMax(8)));
  }
}

}  // namespace

void LogSoftmax(const LogSoftmaxParams& params, const uint8_t* input, uint8_t* output) {
  for (int32_t row = 0; row < params.rows; ++row) {
    const int32_t first = row * params.depth;
    LogSoftmaxRow(params, reinterpret_cast<const int8_t*>(input + first),
                  reinterpret_cast<int8_t*>(output + first));
  }
}

}  // namespace reference
}  // namespace quantmcu
