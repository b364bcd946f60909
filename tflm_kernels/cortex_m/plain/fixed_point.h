// cortex_m/plain/fixed_point.h - multiply of docs/arithmetic.md without DSP, on cores without a long multiplication too.
//
// What is gained: step 2 of A1 is floor((x * multiplier + 2^30) / 2^31) for either sign (the law's nudge of negative
// products turns its truncation into this floor); on the M0+ it is four products of 16 bits, of which the lowest 14
// bits of the sum are never needed. Step 3 is floor((t + 2^(e-1)) / 2^e) with t = x2 - (x2 < 0).
// Range    any; -2^31 * multiplier fits, because multiplier >= 0.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_CORTEX_M_PLAIN_FIXED_POINT_H_
#define TFLM_KERNELS_CORTEX_M_PLAIN_FIXED_POINT_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {
namespace plain {

// floor((a * b + 2^30) / 2^31), b >= 0.
inline int32_t HighProduct(int32_t a, int32_t b) {
#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1
  const uint32_t a_low = static_cast<uint32_t>(a) & 0xFFFFu;
  const uint32_t b_low = static_cast<uint32_t>(b) & 0xFFFFu;
  const uint32_t b_high = static_cast<uint32_t>(b) >> 16;
  const int32_t a_high = a >> 16;
  const uint32_t middle = a_low * b_high + (a_low * b_low >> 16);
  const int32_t low = a_high * static_cast<int32_t>(b_low) + static_cast<int32_t>(middle & 0xFFFFu);
  const int32_t high = a_high * static_cast<int32_t>(b_high) + static_cast<int32_t>(middle >> 16);
  return WrappingAdd(WrappingShiftLeft(high, 1), (low + (1 << 14)) >> 15);
#else
  return static_cast<int32_t>((int64_t{a} * b + (int64_t{1} << 30)) >> 31);
#endif
}

// multiply(x, {multiplier, -right - 1})
inline int32_t MultiplyShifted(int32_t x, int32_t multiplier, int32_t right) {
  const int32_t x2 = HighProduct(x, multiplier);
  return (((x2 + (x2 >> 31)) >> right) + 1) >> 1;
}

// multiply(x, factor)
inline int32_t MultiplyBy(int32_t x, const FixedPoint& factor) {
  if (factor.shift < 0) return MultiplyShifted(x, factor.multiplier, -1 - factor.shift);
  return HighProduct(WrappingShiftLeft(x, factor.shift), factor.multiplier);
}

// What is done to products: clamp(product + zero_point).
struct Rescaling {
  int32_t zero_point;
  Clamp clamp;

  int32_t Clamped(int32_t product) const {
    const int32_t y = WrappingAdd(product, zero_point);
    if (y < clamp.min) return clamp.min;
    return y > clamp.max ? clamp.max : y;
  }
};

// clamp(multiply(x, factor) + zero_point)
inline int32_t Rescaled(int32_t x, const FixedPoint& factor, int32_t zero_point,
                        const Clamp& clamp) {
  return Rescaling{zero_point, clamp}.Clamped(MultiplyBy(x, factor));
}

}  // namespace plain
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_PLAIN_FIXED_POINT_H_
