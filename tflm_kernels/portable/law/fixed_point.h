// portable/law/fixed_point.h - multiplication by a real number on integers, TFLM's double rounding.
//
// multiply(x, multiplier, shift) ~ x * multiplier / 2^31 * 2^shift         docs/arithmetic.md A1
// Range    0 <= multiplier < 2^31, shift in [-31, 30]; any x: int32 operations wrap modulo 2^32.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_LAW_FIXED_POINT_H_
#define TFLM_KERNELS_PORTABLE_LAW_FIXED_POINT_H_

#include <stdint.h>

namespace quantmcu {

struct FixedPoint {
  int32_t multiplier;
  int32_t shift;
};

struct Clamp {
  int32_t min;
  int32_t max;
};

inline int32_t WrappingAdd(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}

inline int32_t WrappingShiftLeft(int32_t a, int32_t shift) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) << shift);
}

// round(a * b / 2^31), halves upwards; b >= 0, so it cannot saturate.
inline int32_t RoundingDoublingHighMultiply(int32_t a, int32_t b) {
  const int64_t ab = int64_t{a} * b;  // |a| <= 2^31, b < 2^31: |ab| < 2^62, with the nudge too
  const int64_t nudge = ab >= 0 ? int64_t{1} << 30 : 1 - (int64_t{1} << 30);
  return static_cast<int32_t>((ab + nudge) / (int64_t{1} << 31));
}

// round(a / 2^exponent), halves away from zero; exponent in [0, 31].
inline int32_t RoundingDivideByPowerOfTwo(int32_t a, int32_t exponent) {
  const int32_t mask = static_cast<int32_t>((uint32_t{1} << exponent) - 1);
  const int32_t remainder = a & mask;
  const int32_t threshold = (mask >> 1) + (a < 0 ? 1 : 0);
  return (a >> exponent) + (remainder > threshold ? 1 : 0);
}

inline int32_t Multiply(int32_t x, const FixedPoint& factor) {
  const int32_t left = factor.shift > 0 ? factor.shift : 0;
  const int32_t right = factor.shift < 0 ? -factor.shift : 0;
  return RoundingDivideByPowerOfTwo(
      RoundingDoublingHighMultiply(WrappingShiftLeft(x, left), factor.multiplier), right);
}

// round(sum / count), halves away from zero; count > 0 (A5). |sum| <= 128 * count and count <= kMaxPoolTaps, 2^23: with
// half of the count added it is below 2^31.
inline int32_t RoundedMean(int32_t sum, int32_t count) {
  return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

// clamp(multiply(accumulator, factor) + zero_point): the last step of every kernel.
inline int32_t Requantized(int32_t accumulator, const FixedPoint& factor, int32_t zero_point,
                           const Clamp& clamp) {
  const int32_t y = WrappingAdd(Multiply(accumulator, factor), zero_point);
  if (y < clamp.min) return clamp.min;
  return y > clamp.max ? clamp.max : y;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_LAW_FIXED_POINT_H_
