#include "tflm_kernels/cortex_m/dot_mve.h"

#include <string.h>

namespace quantmcu {
namespace mve {
namespace {

// 16 neighbours go to a row of F blocks at a fixed pattern: value i of them is in field i % F of
// byte i / F.
template <int kBits>
int32_t ExpandContiguous(const uint8_t* row, int32_t count, int32_t order_bits, int8_t* expanded) {
  const int32_t fields = 8 / order_bits;
  const uint8x16_t index = LaneIndices();
  const uint8x16_t field = vandq_u8(index, vdupq_n_u8(static_cast<uint8_t>(fields - 1)));
  const int32_t log2_fields = fields == 4 ? 2 : fields - 1;
  const uint8x16_t offsets =
      vaddq_u8(vshlq_n_u8(field, 4), vshlq_r_u8(index, -log2_fields));
  int32_t sum = 0;
  int32_t in_block = 0;
  for (int32_t begin = 0; begin < count; begin += kLanes, row += 2 * kBits) {
    const int32_t remaining = count - begin;
    const int8x16_t values =
        remaining >= kLanes ? LoadLanes<kBits>(row) : LoadLanes<kBits>(row, remaining);
    sum = vaddvaq_s8(sum, values);
    vstrbq_scatter_offset_s8(expanded + in_block, offsets, values);
    in_block += kLanes >> log2_fields;
    if (in_block == kLanes) {
      in_block = 0;
      expanded += kLanes * fields;
    }
  }
  return sum;
}

// Runs whose last byte is not full in one of the two widths: seldom more than a few values.
int32_t ExpandRuns(const uint8_t* row, const RowShape& shape, int32_t order_bits,
                   int8_t* expanded) {
  const int32_t fields = 8 / order_bits;
  int32_t sum = 0;
  int32_t byte = 0;
  for (int32_t run = 0; run < shape.num_runs; ++run) {
    for (int32_t i = 0; i < shape.run_length; ++i) {
      const int32_t value = LoadValue(row, i, shape.bits);
      const int32_t at = byte + i / fields;
      expanded[at / kLanes * kLanes * fields + i % fields * kLanes + at % kLanes] =
          static_cast<int8_t>(value);
      sum += value;
    }
    row += RunBytes(shape.run_length, shape.bits);
    byte += RunBytes(shape.run_length, order_bits);
  }
  return sum;
}

}  // namespace

int32_t ExpandRow(const uint8_t* row, const RowShape& shape, int32_t order_bits, int8_t* expanded) {
  const int32_t expanded_bytes = ExpandedBytes(shape, order_bits);
  const int32_t count = shape.num_runs * shape.run_length;
  const int32_t narrower = shape.bits < order_bits ? shape.bits : order_bits;
  const bool is_contiguous = shape.num_runs == 1 || shape.run_length * narrower % 8 == 0;
  if (!is_contiguous || count < expanded_bytes) memset(expanded, 0, expanded_bytes);
  if (!is_contiguous) return ExpandRuns(row, shape, order_bits, expanded);
  if (shape.bits == 8) return ExpandContiguous<8>(row, count, order_bits, expanded);
  if (shape.bits == 4) return ExpandContiguous<4>(row, count, order_bits, expanded);
  return ExpandContiguous<2>(row, count, order_bits, expanded);
}

}  // namespace mve
}  // namespace quantmcu
