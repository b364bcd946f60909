// portable/law/exponential.h - e^x and 1 / (1 + x) on integers, as softmax and logistic need them.
//
// docs/arithmetic.md A13. A Q<k> value is an int32 with k integer bits: real = value / 2^(31 - k).
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_LAW_EXPONENTIAL_H_
#define TFLM_KERNELS_PORTABLE_LAW_EXPONENTIAL_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

constexpr int32_t kOneQ0 = INT32_MAX;  // 1 does not fit Q0: the next value below stands for it

inline int32_t SaturatingShiftLeft(int32_t a, int32_t shift) {
  const int32_t largest = INT32_MAX >> shift;
  if (a > largest) return INT32_MAX;
  return a < -largest - 1 ? INT32_MIN : WrappingShiftLeft(a, shift);
}

// e^a for a in [-1/4, 0), Q0 to Q0: four terms of the series around -1/8, with x = a + 1/8 in [-1/8, 1/8):
// e^a = e^(-1/8) * (1 + x + x^2 / 2 + x^3 / 6 + x^4 / 24), where x^2 / 2 + x^3 / 6 + x^4 / 24 is taken as
// ((x^4 / 4 + x^3) / 3 + x^2) / 2. All of it is below 1 in magnitude, so Q0 holds it.
inline int32_t ExpNearZero(int32_t a) {
  constexpr int32_t kExpOfMinusEighth = 1895147668;
  constexpr int32_t kThird = 715827883;
  const int32_t x = a + (1 << 28);
  const int32_t x2 = RoundingDoublingHighMultiply(x, x);
  const int32_t x3 = RoundingDoublingHighMultiply(x2, x);
  const int32_t x4 = RoundingDoublingHighMultiply(x2, x2);
  const int32_t cubic = RoundingDivideByPowerOfTwo(x4, 2) + x3;
  const int32_t tail =
      RoundingDivideByPowerOfTwo(RoundingDoublingHighMultiply(cubic, kThird) + x2, 1);
  return kExpOfMinusEighth + RoundingDoublingHighMultiply(kExpOfMinusEighth, x + tail);
}

// e^a for a <= 0, Q<integer_bits> to Q0; integer_bits at most 5. -a is a count of quarters, whose bits pick factors
// e^-(2^n), n from -2 on, and what is left of a in [-1/4, 0).
inline int32_t ExpOfNegative(int32_t a, int32_t integer_bits) {
  if (a == 0) return kOneQ0;
  // e^-(2^n) in Q0 for n = -2 to 4.
  constexpr int32_t kExpOfPowers[] = {1672461947, 1302514674, 790015084, 290630308,
                                      39332535,   720401,     242};
  const int32_t fraction_bits = 29 - integer_bits;  // of a count of quarters
  const int32_t near_zero = (a & ((1 << fraction_bits) - 1)) - (1 << fraction_bits);
  const int32_t quarters = (near_zero - a) >> fraction_bits;
  int32_t y = ExpNearZero(near_zero * (1 << integer_bits));
  for (int32_t n = 0; n < integer_bits + 2; ++n) {
    if ((quarters >> n) & 1) y = RoundingDoublingHighMultiply(y, kExpOfPowers[n]);
  }
  return y;
}

// 1 / (1 + a) for a in [0, 1), Q0 to Q0: three Newton steps x += x * (1 - half * x) in Q2 toward 1 / half, where half is
// (1 + a) / 2 in [1/2, 1). The start 48/17 - 32/17 * half is off by at most 1/17, each step squares that: 17^-8 < 2^-32.
inline int32_t ReciprocalOfOnePlus(int32_t a) {
  constexpr int32_t k48Over17 = 1515870810;
  constexpr int32_t kMinus32Over17 = -1010580540;
  constexpr int32_t kOneQ2 = 1 << 29;
  const auto half = static_cast<int32_t>((int64_t{a} + kOneQ0 + 1) / 2);
  int32_t x = k48Over17 + RoundingDoublingHighMultiply(half, kMinus32Over17);
  for (int step = 0; step < 3; ++step) {
    const int32_t error = kOneQ2 - RoundingDoublingHighMultiply(half, x);
    x += SaturatingShiftLeft(RoundingDoublingHighMultiply(x, error), 2);
  }
  return SaturatingShiftLeft(x, 1);
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_LAW_EXPONENTIAL_H_
