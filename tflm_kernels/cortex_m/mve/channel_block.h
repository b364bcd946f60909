// cortex_m/mve/channel_block.h - sixteen neighbouring channels of a pixel, as wide sums and as what
// leaves them.
//
// Products and sums of int8 lanes come as even and odd lanes (VMULLB, VMULLT), twice over in int32:
// wide lane l of vector v is channel WideChannel(v, l) of the block.
#ifndef TFLM_KERNELS_CORTEX_M_MVE_CHANNEL_BLOCK_H_
#define TFLM_KERNELS_CORTEX_M_MVE_CHANNEL_BLOCK_H_

#include <arm_mve.h>
#include <stdint.h>

#include "tflm_kernels/cortex_m/mve/fixed_point.h"
#include "tflm_kernels/cortex_m/mve/packed.h"
#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {
namespace mve {

// Vectors 0 and 1 are the even and odd ones of the even channels, 2 and 3 of the odd channels.
constexpr int32_t WideChannel(int32_t vector, int32_t lane) {
  return 4 * lane + (vector & 1) * 2 + (vector >> 1);
}

struct WideSums {
  int32x4_t vectors[kWideVectors];
};

// For sums that fit int16.
struct NarrowSums {
  int16x8_t even;
  int16x8_t odd;
};

template <typename Sums>
Sums ZeroSums();

template <>
inline NarrowSums ZeroSums() {
  return {vdupq_n_s16(0), vdupq_n_s16(0)};
}

template <>
inline WideSums ZeroSums() {
  const int32x4_t zero = vdupq_n_s32(0);
  return {{zero, zero, zero, zero}};
}

inline WideSums Widened(int16x8_t even, int16x8_t odd) {
  return {{vmovlbq_s16(even), vmovltq_s16(even), vmovlbq_s16(odd), vmovltq_s16(odd)}};
}

inline WideSums Widened(const NarrowSums& sums) { return Widened(sums.even, sums.odd); }

inline WideSums Widened(const WideSums& sums) { return sums; }

inline WideSums Widened(int8x16_t values) {
  return Widened(vmovlbq_s8(values), vmovltq_s8(values));
}

inline void AddLanes(int16x8_t even, int16x8_t odd, NarrowSums* sums) {
  sums->even = vaddq_s16(sums->even, even);
  sums->odd = vaddq_s16(sums->odd, odd);
}

inline void AddLanes(int16x8_t even, int16x8_t odd, WideSums* sums) {
  const WideSums wide = Widened(even, odd);
#pragma GCC unroll 4
  for (int v = 0; v < kWideVectors; ++v) {
    sums->vectors[v] = vaddq_s32(sums->vectors[v], wide.vectors[v]);
  }
}

// To channel order, with the zero point added and saturated to int8: clamps come after it, because they
// lie in int8.
inline int8x16_t NarrowedWith(const WideSums& sums, int32_t zero_point) {
  const int32x4_t* v = sums.vectors;
  const int16_t zero = static_cast<int16_t>(zero_point);
  int16x8_t even = vqmovntq_s32(vqmovnbq_s32(vreinterpretq_s16_s32(v[0]), v[0]), v[1]);
  int16x8_t odd = vqmovntq_s32(vqmovnbq_s32(vreinterpretq_s16_s32(v[2]), v[2]), v[3]);
  even = vqaddq_n_s16(even, zero);
  odd = vqaddq_n_s16(odd, zero);
  return vqmovntq_s16(vqmovnbq_s16(vreinterpretq_s8_s16(even), even), odd);
}

inline int8x16_t Narrowed(const WideSums& sums) {
  const int32x4_t* v = sums.vectors;
  const int16x8_t even = vqmovntq_s32(vqmovnbq_s32(vreinterpretq_s16_s32(v[0]), v[0]), v[1]);
  const int16x8_t odd = vqmovntq_s32(vqmovnbq_s32(vreinterpretq_s16_s32(v[2]), v[2]), v[3]);
  return vqmovntq_s16(vqmovnbq_s16(vreinterpretq_s8_s16(even), even), odd);
}

inline int8x16_t Clamped(int8x16_t values, const Clamp& clamp) {
  const int8x16_t above = vmaxq_s8(values, vdupq_n_s8(static_cast<int8_t>(clamp.min)));
  return vminq_s8(above, vdupq_n_s8(static_cast<int8_t>(clamp.max)));
}

// A change of format by one factor for all channels, docs/arithmetic.md A7.
struct Rescale {
  UniformFixedPoint factor;
  int32_t zero_in;
  int32_t zero_out;
  Clamp clamp;
  bool is_identity;  // 2^30 and a left shift by one are a factor of 1
};

inline Rescale MakeRescale(const FeatureMap& input, const FeatureMap& output,
                           const FixedPoint& factor, const Clamp& clamp) {
  return {
      Uniform(factor), input.zero_point, output.zero_point, clamp,
      factor.multiplier == 1 << 30 && factor.shift == 1 && input.zero_point == output.zero_point};
}

inline int8x16_t Rescaled(WideSums values, const Rescale& rescale) {
#pragma GCC unroll 4
  for (int v = 0; v < kWideVectors; ++v) {
    const int32x4_t x = vsubq_n_s32(values.vectors[v], rescale.zero_in);
    values.vectors[v] = vaddq_n_s32(Multiply(x, rescale.factor), rescale.zero_out);
  }
  return Clamped(Narrowed(values), rescale.clamp);
}

inline int8x16_t Rescaled(int8x16_t values, const Rescale& rescale) {
  return rescale.is_identity ? Clamped(values, rescale.clamp) : Rescaled(Widened(values), rescale);
}

template <int kBits>
int8x16_t LoadBlock(const uint8_t* run, int32_t count) {
  return count >= kLanes ? LoadLanes<kBits>(run) : LoadLanes<kBits>(run, count);
}

inline int8x16_t LoadBlock(const uint8_t* run, int32_t bits, int32_t count) {
  if (bits == 8) return LoadBlock<8>(run, count);
  return bits == 4 ? LoadBlock<4>(run, count) : LoadBlock<2>(run, count);
}

inline void StoreBlock(uint8_t* run, int32_t bits, int8x16_t values, int32_t count) {
  if (count >= kLanes) {
    StoreLanes(run, bits, values);
  } else {
    StoreLanes(run, bits, values, count);
  }
}

// Neighbouring pixels as runs of values: one run if no pixel has unused bits in any of the formats.
struct Runs {
  int32_t count;
  int32_t length;
};

inline Runs PixelRuns(int32_t num_pixels, int32_t channels, int32_t narrowest_bits) {
  if (channels * narrowest_bits % 8 == 0) return {1, num_pixels * channels};
  return {num_pixels, channels};
}

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_CHANNEL_BLOCK_H_
