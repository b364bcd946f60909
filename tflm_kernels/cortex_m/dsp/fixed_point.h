// cortex_m/dsp/fixed_point.h - multiply and clamp of docs/arithmetic.md with the DSP extension.
//
// What is gained: law A1 in 3 instructions (with the zero point) for factors below 1/2, in 9 for any
// other, where portable/law/fixed_point.h takes about 25.
//
// Step 2 of A1 is floor((x1 * multiplier + 2^30) / 2^31) for either sign (the law's nudge of negative
// products turns its truncation into this floor). That is SMMLAR with 2 * multiplier: it does not fit
// int32 from 2^30 on, so then 2 * multiplier - 2^32 is multiplied and x1 * 2^32 added.
// Step 3 is floor((t + 2^(e-1)) / 2^e) with t = x2 - (x2 < 0): SMMLSR with -2^(32-e), for e >= 1.
// |x2| < 2^31 - 1, because multiplier < 2^31: t and the additions below do not overflow.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_FIXED_POINT_H_
#define TFLM_KERNELS_CORTEX_M_DSP_FIXED_POINT_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/is_fast.h"
#include "tflm_kernels/cortex_m/dsp/simd.h"
#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {
namespace dsp {

// Of arrays anywhere, as assembly adds them.
inline int32_t BytesBetween(const int32_t* from, const int32_t* to) {
  return static_cast<int32_t>(reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from));
}

inline int32_t Doubled(int32_t multiplier) {
  return static_cast<int32_t>(2u * static_cast<uint32_t>(multiplier));
}

// A factor that IsSmallFactor.
struct SmallFactor {
  int32_t doubled_multiplier;
  int32_t minus_power;  // -2^(32 + shift)
};

inline bool HasSmallFactors(const ChannelTable& table, int32_t num_channels) {
  int32_t all = -1;  // negative while all are small, see IsSmallFactor
  for (int32_t i = 0; i < num_channels; ++i) {
    all &= Doubled(table.multiplier[i]) & table.shift[i];
  }
  return all < 0;
}

inline SmallFactor MakeSmallFactor(const FixedPoint& factor) {
  return {Doubled(factor.multiplier), static_cast<int32_t>(~0u << ((32 + factor.shift) & 31))};
}

// zero_point + multiply(x, factor)
inline int32_t MultiplyAdd(int32_t x, const SmallFactor& factor, int32_t zero_point) {
  const int32_t x2 = Smmlar(x, factor.doubled_multiplier, x);
  return Smmlsr(x2 + (x2 >> 31), factor.minus_power, zero_point);
}

// Any factor.
struct AnyFactor {
  int32_t left;
  int32_t doubled_multiplier;
  int32_t right;          // e - 1, or 0 if e is 0
  int32_t rounding;       // 1, or 0 if e is 0
  int32_t sign_rounding;  // -rounding
};

inline AnyFactor MakeAnyFactor(const FixedPoint& factor) {
  const int32_t rounding = factor.shift < 0 ? 1 : 0;
  return {factor.shift > 0 ? factor.shift : 0, Doubled(factor.multiplier),
          factor.shift < 0 ? -factor.shift - 1 : 0, rounding, -rounding};
}

// multiply(x, factor)
inline int32_t Multiply(int32_t x, const AnyFactor& factor) {
  const int32_t x1 = WrappingShiftLeft(x, factor.left);
  const int32_t m = factor.doubled_multiplier;
  const int32_t x2 = Smmlar(x1, m, x1 & (m >> 31));
  const int32_t t = x2 + ((x2 >> 31) & factor.sign_rounding);
  return ((t >> factor.right) + factor.rounding) >> factor.rounding;
}

inline int32_t MultiplyAdd(int32_t x, const AnyFactor& factor, int32_t zero_point) {
  return WrappingAdd(Multiply(x, factor), zero_point);
}

// A clamp of four int8 at once: each byte holds the bound.
struct ClampBytes {
  uint32_t min;
  uint32_t max;
};

inline uint32_t Repeated(int32_t byte) { return 0x01010101u * static_cast<uint8_t>(byte); }

inline ClampBytes MakeClampBytes(const Clamp& clamp) {
  return {Repeated(clamp.min), Repeated(clamp.max)};
}

inline uint32_t LargerBytes(uint32_t a, uint32_t b) {
  Ssub8(a, b);
  return Sel(a, b);
}

inline uint32_t SmallerBytes(uint32_t a, uint32_t b) {
  Ssub8(a, b);
  return Sel(b, a);
}

// Four results as int8, clamped, value i in byte i.
inline uint32_t ClampedBytes(int32_t y0, int32_t y1, int32_t y2, int32_t y3,
                             const ClampBytes& clamp) {
  uint32_t bytes = static_cast<uint32_t>(__ssat(y0, 8));
  bytes = WithByte<1>(bytes, __ssat(y1, 8));
  bytes = WithByte<2>(bytes, __ssat(y2, 8));
  bytes = WithByte<3>(bytes, __ssat(y3, 8));
  return SmallerBytes(LargerBytes(bytes, clamp.min), clamp.max);
}

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_FIXED_POINT_H_
