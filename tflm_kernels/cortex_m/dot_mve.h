// cortex_m/dot_mve.h - sums of products over packed runs: VMLADAVA does 16 products a step.
//
// One operand stays packed; the other is expanded once to int8 in *field order*, so that the packed
// one needs no reordering: with F = 8 / bits values a byte, 16 bytes of the packed operand meet F
// blocks of 16 expanded values, block f holding the values in field f of those bytes. A packed field
// is masked in the top of its byte, not shifted down: products come 2^kFieldShift times too large,
// and one shift of the sum corrects that.
// Range    kMaxRow values a row, so that the enlarged sums fit int32.
#ifndef TFLM_KERNELS_CORTEX_M_DOT_MVE_H_
#define TFLM_KERNELS_CORTEX_M_DOT_MVE_H_

#include <arm_mve.h>
#include <stdint.h>

#include "tflm_kernels/cortex_m/packed_mve.h"

namespace quantmcu {
namespace mve {

constexpr int32_t kMaxRow = 1 << 16;

template <int kBits>
constexpr int kFieldShift = 8 - kBits;

template <int kBits>
constexpr int kFields = 8 / kBits;

// Field f of 16 bytes in the tops of the bytes.
template <int kBits>
int8x16_t Field(int8x16_t bytes, int f) {
  if constexpr (kBits == 8) return bytes;
  const int8x16_t mask = vdupq_n_s8(static_cast<int8_t>(0xFF << (8 - kBits)));
  if constexpr (kBits == 4) return f == 0 ? vshlq_n_s8(bytes, 4) : vandq_s8(bytes, mask);
  if constexpr (kBits == 2) {
    if (f == 0) return vshlq_n_s8(bytes, 6);
    if (f == 1) return vandq_s8(vshlq_n_s8(bytes, 4), mask);
    if (f == 2) return vandq_s8(vshlq_n_s8(bytes, 2), mask);
    return vandq_s8(bytes, mask);
  }
}

// Undoes the enlargement of a sum.
template <int kBits>
int32x4_t Reduced(int32x4_t sums) {
  if constexpr (kBits == 8) return sums;
  if constexpr (kBits != 8) return vshrq_n_s32(sums, kFieldShift<kBits>);
}

// A row of weights or inputs: `num_runs` runs of `run_length` values of `bits`, one behind the other.
struct RowShape {
  int32_t num_runs;
  int32_t run_length;
  int32_t bits;
};

inline int32_t RowBytes(const RowShape& shape) {
  return shape.num_runs * RunBytes(shape.run_length, shape.bits);
}

// Bytes of a row in field order for a packed operand of `order_bits`: a whole number of blocks.
inline int32_t ExpandedBytes(const RowShape& shape, int32_t order_bits) {
  const int32_t packed_bytes = RowBytes({shape.num_runs, shape.run_length, order_bits});
  return (packed_bytes + kLanes - 1) / kLanes * kLanes * (8 / order_bits);
}

// Writes ExpandedBytes bytes, 0 where the packed operand has no value. Returns the sum of the values.
int32_t ExpandRow(const uint8_t* row, const RowShape& shape, int32_t order_bits, int8_t* expanded);

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DOT_MVE_H_
