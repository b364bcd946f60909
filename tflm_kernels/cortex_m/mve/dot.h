// cortex_m/mve/dot.h - sums of products over packed rows: VMLADAVA does 16 products a step.
//
// One operand stays packed; the other is expanded once to int8, in an order that spares reordering
// the packed one: with F = 8 / bits values a byte, a block of 16 packed bytes meets F times 16
// expanded values, the f-th 16 being those in field f of the bytes. Behind the last whole block the
// order is the natural one, 16 values a step. A packed value is masked in the top of its byte, not
// shifted down: products come 2^(8 - bits) times too large, and one shift of the sum corrects that.
// Range    kMaxRow values a row, so that the enlarged sums fit int32.
#ifndef TFLM_KERNELS_CORTEX_M_MVE_DOT_H_
#define TFLM_KERNELS_CORTEX_M_MVE_DOT_H_

#include <arm_mve.h>
#include <stdint.h>

#include "tflm_kernels/cortex_m/mve/packed.h"
#include "tflm_kernels/cortex_m/mve/scratch.h"

namespace quantmcu {
namespace mve {

template <int kBits>
constexpr int kFields = 8 / kBits;

template <int kBits>
int8x16_t Masked(int8x16_t values) {
  return vandq_s8(values, vdupq_n_s8(static_cast<int8_t>(0xFF << (8 - kBits))));
}

// Field f of 16 bytes, in the tops of the bytes.
template <int kBits>
int8x16_t Field(int8x16_t bytes, int f) {
  if constexpr (kBits == 8) return bytes;
  if constexpr (kBits == 4) return f == 0 ? vshlq_n_s8(bytes, 4) : Masked<4>(bytes);
  if constexpr (kBits == 2) {
    if (f == 0) return vshlq_n_s8(bytes, 6);
    if (f == 1) return Masked<2>(vshlq_n_s8(bytes, 4));
    return Masked<2>(f == 2 ? vshlq_n_s8(bytes, 2) : bytes);
  }
}

// 16 neighbours in natural order, in the tops of the bytes.
template <int kBits>
int8x16_t LoadTops(const int8_t* run) {
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(run);
  if constexpr (kBits == 8) return vldrbq_s8(run);
  if constexpr (kBits == 4) return Masked<4>(SpreadTops4(vldrbq_u16(bytes)));
  if constexpr (kBits == 2) return Masked<2>(SpreadTops2(vldrbq_u32(bytes)));
}

template <int kBits>
int8x16_t LoadTops(const int8_t* run, mve_pred16_t inside) {
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(run);
  if constexpr (kBits == 8) return vldrbq_z_s8(run, inside);
  if constexpr (kBits == 4) return Masked<4>(SpreadTops4(vldrbq_z_u16(bytes, inside)));
  if constexpr (kBits == 2) return Masked<2>(SpreadTops2(vldrbq_z_u32(bytes, inside)));
}

// How a row of packed bytes is walked through.
struct RowSteps {
  int32_t blocks;       // of 16 bytes
  int32_t groups;       // of 16 values, behind the blocks
  bool has_rest;        // fewer than 16 values behind the groups
  mve_pred16_t inside;  // the bytes of the rest, for LoadTops
};

template <int kBits>
RowSteps StepsOf(int32_t packed_bytes) {
  constexpr int32_t kGroupBytes = kLanes / kFields<kBits>;
  const uint32_t rest = static_cast<uint32_t>(packed_bytes % kGroupBytes);
  const mve_pred16_t inside = kBits == 8   ? vctp8q(rest)
                              : kBits == 4 ? vctp16q(rest)
                                           : vctp32q(rest);
  return {packed_bytes / kLanes, packed_bytes % kLanes / kGroupBytes, rest != 0, inside};
}

// Undoes the enlargement of a sum.
template <int kBits>
int32x4_t Reduced(int32x4_t sums) {
  if constexpr (kBits == 8) return sums;
  if constexpr (kBits != 8) return vshrq_n_s32(sums, 8 - kBits);
}

// Writes the row's steps of 16 values `stride` bytes apart, with 0 where the packed operand has no
// value. Returns the sum of the values.
int32_t ExpandRow(const uint8_t* row, const RowShape& shape, int32_t order_bits, int32_t stride,
                  int8_t* expanded);

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_DOT_H_
