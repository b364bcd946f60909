// cortex_m/mve/packed.h - sixteen values of a packed run (portable/law/packed.h) and int8 lanes.
//
// Lane i is value i of the run. Loads and stores of `count` < 16 values touch no byte behind the
// run; lanes behind it are 0, and a store leaves unused bits 0 (docs/format.md F2).
// Cost     a whole load is 1, 4 or 6 instructions at 8, 4 or 2 bits, a whole store 1, 3 or 7.
#ifndef TFLM_KERNELS_CORTEX_M_MVE_PACKED_H_
#define TFLM_KERNELS_CORTEX_M_MVE_PACKED_H_

#include <arm_mve.h>
#include <stdint.h>

#include "tflm_kernels/cortex_m/mve/scratch.h"
#include "tflm_kernels/portable/law/packed.h"

namespace quantmcu {
namespace mve {

// Each uint16 lane holds a byte of two values: they move to the tops of its two bytes. What lies
// below them is arbitrary.
inline int8x16_t SpreadTops4(uint16x8_t bytes) {
  return vreinterpretq_s8_u16(vsliq_n_u16(vshlq_n_u16(bytes, 4), bytes, 8));
}

// Each uint32 lane holds a byte of four values: they move to the tops of its four bytes.
inline int8x16_t SpreadTops2(uint32x4_t bytes) {
  uint32x4_t tops = vshlq_n_u32(bytes, 6);
  tops = vsliq_n_u32(tops, bytes, 12);
  tops = vsliq_n_u32(tops, bytes, 18);
  return vreinterpretq_s8_u32(vsliq_n_u32(tops, bytes, 24));
}

inline int8x16_t Spread4(uint16x8_t bytes) { return vshrq_n_s8(SpreadTops4(bytes), 4); }
inline int8x16_t Spread2(uint32x4_t bytes) { return vshrq_n_s8(SpreadTops2(bytes), 6); }

template <int kBits>
int8x16_t LoadLanes(const uint8_t* run) {
  if constexpr (kBits == 8) return vreinterpretq_s8_u8(vldrbq_u8(run));
  if constexpr (kBits == 4) return Spread4(vldrbq_u16(run));
  if constexpr (kBits == 2) return Spread2(vldrbq_u32(run));
}

template <int kBits>
int8x16_t LoadLanes(const uint8_t* run, int32_t count) {
  const uint32_t bytes = static_cast<uint32_t>(RunBytes(count, kBits));
  int8x16_t lanes;
  if constexpr (kBits == 8) lanes = vreinterpretq_s8_u8(vldrbq_z_u8(run, vctp8q(bytes)));
  if constexpr (kBits == 4) lanes = Spread4(vldrbq_z_u16(run, vctp16q(bytes)));
  if constexpr (kBits == 2) lanes = Spread2(vldrbq_z_u32(run, vctp32q(bytes)));
  return vpselq_s8(lanes, vdupq_n_s8(0), vctp8q(static_cast<uint32_t>(count)));
}

// The low byte of each uint16 lane becomes a byte of two values.
inline uint16x8_t Gather4(int8x16_t lanes) {
  const uint16x8_t pairs = vreinterpretq_u16_s8(lanes);
  return vsliq_n_u16(pairs, vshrq_n_u16(pairs, 8), 4);
}

// The low byte of each uint32 lane becomes a byte of four values.
inline uint32x4_t Gather2(int8x16_t lanes) {
  const uint32x4_t quads = vreinterpretq_u32_s8(lanes);
  uint32x4_t bytes = vsliq_n_u32(quads, vshrq_n_u32(quads, 8), 2);
  bytes = vsliq_n_u32(bytes, vshrq_n_u32(quads, 16), 4);
  return vsliq_n_u32(bytes, vshrq_n_u32(quads, 24), 6);
}

inline void StoreLanes(uint8_t* run, int32_t bits, int8x16_t lanes) {
  if (bits == 8) {
    vstrbq_u8(run, vreinterpretq_u8_s8(lanes));
  } else if (bits == 4) {
    vstrbq_u16(run, Gather4(lanes));
  } else {
    vstrbq_u32(run, Gather2(lanes));
  }
}

inline void StoreLanes(uint8_t* run, int32_t bits, int8x16_t lanes, int32_t count) {
  const uint32_t bytes = static_cast<uint32_t>(RunBytes(count, bits));
  lanes = vpselq_s8(lanes, vdupq_n_s8(0), vctp8q(static_cast<uint32_t>(count)));
  if (bits == 8) {
    vstrbq_p_u8(run, vreinterpretq_u8_s8(lanes), vctp8q(bytes));
  } else if (bits == 4) {
    vstrbq_p_u16(run, Gather4(lanes), vctp16q(bytes));
  } else {
    vstrbq_p_u32(run, Gather2(lanes), vctp32q(bytes));
  }
}

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_PACKED_H_
