// cortex_m/mve/fixed_point.h - docs/arithmetic.md A1 on four int32 lanes, equal to
// portable/law/fixed_point.h in every bit.
//
// Why it is equal: VQRDMULH rounds halves upwards, and so does A1's first rounding: for
// ab = -m < 0 it truncates -(m - 1 + 2^30) / 2^31, which for m = 2^30 is 0. VRSHL rounds halves
// upwards too, but A1's second rounding rounds them away from zero: a negative value is lowered by
// one before a true right shift (saturating: -2^31 has no half to lose).
// Range    as portable/law/fixed_point.h.
#ifndef TFLM_KERNELS_CORTEX_M_MVE_FIXED_POINT_H_
#define TFLM_KERNELS_CORTEX_M_MVE_FIXED_POINT_H_

#include <arm_mve.h>
#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {
namespace mve {

// left >= 0 and right <= 0 as VSHL and VRSHL want them; one of the two is 0 in every lane.
struct FixedPointLanes {
  int32x4_t multiplier;
  int32x4_t left;
  int32x4_t right;
};

inline FixedPointLanes Lanes(int32x4_t multiplier, int32x4_t shift) {
  const int32x4_t zero = vdupq_n_s32(0);
  return {multiplier, vmaxq_s32(shift, zero), vminq_s32(shift, zero)};
}

inline FixedPointLanes Lanes(const FixedPoint& factor) {
  return Lanes(vdupq_n_s32(factor.multiplier), vdupq_n_s32(factor.shift));
}

// Steps 2 and 3 of A1.
inline int32x4_t MultiplyRight(int32x4_t x, const FixedPointLanes& factor) {
  const int32x4_t high = vqrdmulhq_s32(x, factor.multiplier);
  const int32x4_t minus_one = vshrq_n_s32(vandq_s32(high, factor.right), 31);
  return vrshlq_s32(vqaddq_s32(high, minus_one), factor.right);
}

inline int32x4_t Multiply(int32x4_t x, const FixedPointLanes& factor) {
  return MultiplyRight(vshlq_s32(x, factor.left), factor);
}

// One factor for all lanes, most of it in general registers.
struct UniformFixedPoint {
  int32_t multiplier;
  int32_t left;
  int32_t right;
  int32x4_t lowering;  // VSHL by it gives -1 for negative values if the factor shifts right, else 0
};

inline UniformFixedPoint Uniform(const FixedPoint& factor) {
  const int32_t left = factor.shift > 0 ? factor.shift : 0;
  const int32_t right = factor.shift < 0 ? factor.shift : 0;
  return {factor.multiplier, left, right, vdupq_n_s32(right < 0 ? -31 : 32)};
}

inline int32x4_t MultiplyRight(int32x4_t x, const UniformFixedPoint& factor) {
  const int32x4_t high = vqrdmulhq_n_s32(x, factor.multiplier);
  return vrshlq_n_s32(vqaddq_s32(high, vshlq_s32(high, factor.lowering)), factor.right);
}

inline int32x4_t Multiply(int32x4_t x, const UniformFixedPoint& factor) {
  return MultiplyRight(vshlq_r_s32(x, factor.left), factor);
}

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_FIXED_POINT_H_
