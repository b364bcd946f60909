// cortex_m/channel_block_mve.h - sixteen neighbouring channels of a pixel, as wide sums and as what
// leaves them.
//
// Products and sums of int8 lanes come as even and odd lanes (VMULLB, VMULLT), twice over in int32:
// wide lane l of vector v is channel WideChannel(v, l) of the block.
#ifndef TFLM_KERNELS_CORTEX_M_CHANNEL_BLOCK_MVE_H_
#define TFLM_KERNELS_CORTEX_M_CHANNEL_BLOCK_MVE_H_

#include <arm_mve.h>
#include <stdint.h>

#include "tflm_kernels/cortex_m/fixed_point_mve.h"
#include "tflm_kernels/cortex_m/packed_mve.h"
#include "tflm_kernels/portable/feature_map.h"

namespace quantmcu {
namespace mve {

constexpr int kWideVectors = 4;

// Vectors 0 and 1 are the even and odd ones of the even channels, 2 and 3 of the odd channels.
constexpr int32_t WideChannel(int32_t vector, int32_t lane) {
  return 4 * lane + (vector & 1) * 2 + (vector >> 1);
}

struct WideSums {
  int32x4_t vectors[kWideVectors];
};

inline WideSums Widened(int16x8_t even, int16x8_t odd) {
  return {vmovlbq_s16(even), vmovltq_s16(even), vmovlbq_s16(odd), vmovltq_s16(odd)};
}

inline WideSums Widened(int8x16_t values) {
  return Widened(vmovlbq_s8(values), vmovltq_s8(values));
}

// To channel order, saturated to int8: clamps come after it, because they lie in int8.
inline int8x16_t Narrowed(const WideSums& sums) {
  const int16x8_t none = vuninitializedq_s16();
  const int16x8_t even =
      vqmovntq_s32(vqmovnbq_s32(none, sums.vectors[0]), sums.vectors[1]);
  const int16x8_t odd = vqmovntq_s32(vqmovnbq_s32(none, sums.vectors[2]), sums.vectors[3]);
  return vqmovntq_s16(vqmovnbq_s16(vuninitializedq_s8(), even), odd);
}

inline int8x16_t Clamped(int8x16_t values, const Clamp& clamp) {
  const int8x16_t above = vmaxq_s8(values, vdupq_n_s8(static_cast<int8_t>(clamp.min)));
  return vminq_s8(above, vdupq_n_s8(static_cast<int8_t>(clamp.max)));
}

// A change of format by one factor for all channels, docs/arithmetic.md A7.
struct Rescale {
  FixedPoint factor;
  int32_t zero_in;
  int32_t zero_out;
  Clamp clamp;
};

// 2^30 and a left shift by one are a factor of 1: every x comes out as it went in.
inline bool IsIdentity(const Rescale& r) {
  return r.factor.multiplier == 1 << 30 && r.factor.shift == 1 && r.zero_in == r.zero_out;
}

inline int8x16_t Rescaled(WideSums values, const Rescale& r) {
  const FixedPointLanes factor = Lanes(r.factor);
#pragma GCC unroll 4
  for (int v = 0; v < kWideVectors; ++v) {
    const int32x4_t x = vsubq_n_s32(values.vectors[v], r.zero_in);
    values.vectors[v] = vaddq_n_s32(Multiply(x, factor), r.zero_out);
  }
  return Clamped(Narrowed(values), r.clamp);
}

template <int kBits>
int8x16_t LoadBlock(const uint8_t* run, int32_t count) {
  return count >= kLanes ? LoadLanes<kBits>(run) : LoadLanes<kBits>(run, count);
}

inline void StoreBlock(uint8_t* run, int32_t bits, int8x16_t values, int32_t count) {
  if (count >= kLanes) {
    StoreLanes(run, bits, values);
  } else {
    StoreLanes(run, bits, values, count);
  }
}

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_CHANNEL_BLOCK_MVE_H_
