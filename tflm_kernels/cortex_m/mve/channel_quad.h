// cortex_m/mve/channel_quad.h - four output channels at once, one a lane: their table entries,
// their requantisation and their place in a packed pixel (four values fill whole bytes).
#ifndef TFLM_KERNELS_CORTEX_M_MVE_CHANNEL_QUAD_H_
#define TFLM_KERNELS_CORTEX_M_MVE_CHANNEL_QUAD_H_

#include <arm_mve.h>
#include <stdint.h>
#include <string.h>

#include "tflm_kernels/cortex_m/mve/fixed_point.h"
#include "tflm_kernels/cortex_m/mve/scratch.h"
#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {
namespace mve {

struct Channels {
  ChannelTable table;
  int32_t count;
};

// Lanes behind the last channel are 0.
struct ChannelQuad {
  int32x4_t bias;
  FixedPointLanes factor;
  int32_t count;  // of channels, 1 to 4
};

inline ChannelQuad LoadQuad(const Channels& channels, int32_t first) {
  const ChannelTable& table = channels.table;
  const int32_t remaining = channels.count - first;
  const mve_pred16_t inside = vctp32q(static_cast<uint32_t>(remaining));
  const int32x4_t multiplier = vldrwq_z_s32(table.multiplier + first, inside);
  const int32x4_t shift = vldrwq_z_s32(table.shift + first, inside);
  return {vldrwq_z_s32(table.bias + first, inside), Lanes(multiplier, shift),
          remaining < kQuad ? remaining : kQuad};
}

// What requantisation and packing need of the output, the same for all quads.
struct OutputLanes {
  int32_t bits;
  int32_t zero_point;
  int32x4_t min;
  int32x4_t max;
  uint32x4_t places;  // 2^(lane * bits)
};

inline OutputLanes Lanes(const FeatureMap& output, const Clamp& clamp) {
  const uint32_t bits = static_cast<uint32_t>(output.bits);
  const uint32x4_t exponents = vmulq_n_u32(vidupq_n_u32(0, 1), bits);
  const uint32x4_t places = vshlq_u32(vdupq_n_u32(1), vreinterpretq_s32_u32(exponents));
  return {output.bits, output.zero_point, vdupq_n_s32(clamp.min), vdupq_n_s32(clamp.max), places};
}

// Scaled sums become values of the output.
inline int32x4_t Offset(int32x4_t scaled, const OutputLanes& output) {
  return vminq_s32(vmaxq_s32(vaddq_n_s32(scaled, output.zero_point), output.min), output.max);
}

inline int32x4_t Requantized(int32x4_t accumulators, const FixedPointLanes& factor,
                             const OutputLanes& output) {
  return Offset(Multiply(accumulators, factor), output);
}

// The fields of all lanes in one number. The sum of signed values at their places borrows from the
// places above; with an offset that makes values positive it does not, and taking the offset
// out again flips the top bits of the fields, whichever they are.
inline uint32_t Packed(const OutputLanes& output, int32x4_t values) {
  const uint32_t sum = vmladavq_u32(vreinterpretq_u32_s32(values), output.places);
  const uint32_t offsets = output.bits == 4 ? 0x8888 : 0xAA;
  return (sum + offsets) ^ offsets;
}

// Those of two pixels, the second one's in the upper half.
inline uint32_t Packed(const OutputLanes& output, int32x4_t first, int32x4_t second) {
  const uint32_t offsets = output.bits == 4 ? 0x88888888 : 0xAA00AA;
  const int32_t offset = output.bits == 4 ? 8 : 2;
  const int32x4_t pairs = vsliq_n_s32(vaddq_n_s32(first, offset), vaddq_n_s32(second, offset), 16);
  return vmladavq_u32(vreinterpretq_u32_s32(pairs), output.places) ^ offsets;
}

inline void StoreBytes(uint8_t* bytes, int32x4_t values) {
  vstrbq_s32(reinterpret_cast<int8_t*>(bytes), values);
}

// Four channels of two pixels, of any width.
inline void StoreQuads(uint8_t* bytes0, uint8_t* bytes1, const OutputLanes& output, int32x4_t first,
                       int32x4_t second) {
  if (output.bits == 8) {
    StoreBytes(bytes0, first);
    return StoreBytes(bytes1, second);
  }
  const uint32_t packed = Packed(output, first, second);
  const uint16_t halves[2] = {static_cast<uint16_t>(packed), static_cast<uint16_t>(packed >> 16)};
  if (output.bits == 4) {
    memcpy(bytes0, &halves[0], sizeof(halves[0]));
    memcpy(bytes1, &halves[1], sizeof(halves[1]));
  } else {
    bytes0[0] = static_cast<uint8_t>(halves[0]);
    bytes1[0] = static_cast<uint8_t>(halves[1]);
  }
}

// All four of one pixel.
inline void StoreWholeQuad(uint8_t* bytes, const OutputLanes& output, int32x4_t values) {
  if (output.bits == 8) return StoreBytes(bytes, values);
  const uint32_t packed = Packed(output, values);
  bytes[0] = static_cast<uint8_t>(packed);
  if (output.bits == 4) bytes[1] = static_cast<uint8_t>(packed >> 8);
}

// The first `count` channels of any width: unused bits become 0.
inline void StoreQuad(uint8_t* bytes, const OutputLanes& output, int32x4_t values, int32_t count) {
  const mve_pred16_t inside = vctp32q(static_cast<uint32_t>(count));
  if (output.bits == 8) {
    vstrbq_p_s32(reinterpret_cast<int8_t*>(bytes), values, inside);
    return;
  }
  const uint32_t packed = Packed(output, vpselq_s32(values, vdupq_n_s32(0), inside));
  bytes[0] = static_cast<uint8_t>(packed);
  if (output.bits == 4 && count > 2) bytes[1] = static_cast<uint8_t>(packed >> 8);
}

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_CHANNEL_QUAD_H_
