#include "tflm_kernels/cortex_m/mve/dot.h"

namespace quantmcu {
namespace mve {
namespace {

// Where a packed operand's value lies in an expanded row.
struct Order {
  int32_t fields;     // values a byte
  int32_t in_blocks;  // bytes in whole blocks
  int32_t stride;

  int32_t At(int32_t byte, int32_t field) const {
    const int32_t in_block = byte & -kLanes;
    if (byte < in_blocks) return (in_block / kLanes * fields + field) * stride + byte - in_block;
    const int32_t value = byte * fields + field;
    return value / kLanes * stride + value % kLanes;
  }
};

// The fields of a whole block, 16 bytes of the packed operand, from `row`.
template <int kBits, int kOrderBits>
void LoadBlock(const uint8_t* row, int8x16_t* fields) {
  constexpr int kOrderFields = kFields<kOrderBits>;
  if constexpr (kOrderBits == 8) {
    fields[0] = LoadLanes<kBits>(row);
  } else if constexpr (kOrderBits == kBits) {
    const int8x16_t bytes = vreinterpretq_s8_u8(vldrbq_u8(row));
    for (int f = 0; f < kOrderFields; ++f) {
      fields[f] = vshrq_n_s8(Field<kBits>(bytes, f), 8 - kBits);
    }
  } else {
    int8_t neighbours[kOrderFields * kLanes];
    for (int i = 0; i < kOrderFields; ++i) {
      vstrbq_s8(neighbours + i * kLanes, LoadLanes<kBits>(row + i * 2 * kBits));
    }
    const uint8x16_t offsets = vidupq_n_u8(0, kOrderFields);
    for (int f = 0; f < kOrderFields; ++f) {
      fields[f] = vldrbq_gather_offset_s8(neighbours + f, offsets);
    }
  }
}

// A row without unused bits in either width.
template <int kBits, int kOrderBits>
int32_t ExpandContiguous(const uint8_t* row, int32_t count, int32_t stride, int8_t* expanded) {
  constexpr int32_t kBlockValues = kFields<kOrderBits> * kLanes;
  const int32_t packed_bytes = RunBytes(count, kOrderBits);
  int32_t sum = 0;
  for (int32_t i = packed_bytes / kLanes; i > 0; --i, row += kBlockValues * kBits / 8) {
    int8x16_t fields[kFields<kOrderBits>];
    LoadBlock<kBits, kOrderBits>(row, fields);
    for (int f = 0; f < kFields<kOrderBits>; ++f, expanded += stride) {
      sum = vaddvaq_s8(sum, fields[f]);
      vstrbq_s8(expanded, fields[f]);
    }
  }
  for (int32_t rest = count - packed_bytes / kLanes * kBlockValues; rest > 0; rest -= kLanes) {
    const int8x16_t values = rest >= kLanes ? LoadLanes<kBits>(row) : LoadLanes<kBits>(row, rest);
    sum = vaddvaq_s8(sum, values);
    vstrbq_s8(expanded, values);
    row += 2 * kBits;
    expanded += stride;
  }
  return sum;
}

template <int kBits>
int32_t ExpandContiguous(const uint8_t* row, int32_t count, int32_t order_bits, int32_t stride,
                         int8_t* expanded) {
  if (order_bits == 8) return ExpandContiguous<kBits, 8>(row, count, stride, expanded);
  if (order_bits == 4) return ExpandContiguous<kBits, 4>(row, count, stride, expanded);
  return ExpandContiguous<kBits, 2>(row, count, stride, expanded);
}

// Runs whose last byte is not full in one of the two widths: seldom more than a few values.
int32_t ExpandRuns(const uint8_t* row, const RowShape& shape, const Order& order,
                   int8_t* expanded) {
  int32_t sum = 0;
  int32_t first = 0;
  for (int32_t run = 0; run < shape.num_runs; ++run) {
    for (int32_t i = 0; i < shape.run_length; ++i) {
      const int32_t value = LoadValue(row, i, shape.bits);
      expanded[order.At(first + i / order.fields, i % order.fields)] = static_cast<int8_t>(value);
      sum += value;
    }
    row += RunBytes(shape.run_length, shape.bits);
    first += RunBytes(shape.run_length, 8 / order.fields);
  }
  return sum;
}

}  // namespace

int32_t ExpandRow(const uint8_t* row, const RowShape& shape, int32_t order_bits, int32_t stride,
                  int8_t* expanded) {
  const int32_t count = shape.num_runs * shape.run_length;
  const int32_t narrower = shape.bits < order_bits ? shape.bits : order_bits;
  const bool is_contiguous = shape.num_runs == 1 || shape.run_length * narrower % 8 == 0;
  // The last block's unused values, where the packed operand ends inside a byte, stay 0 too.
  if (!is_contiguous || count * order_bits % 8 != 0) {
    const int32_t steps = ExpandedBytes(shape, order_bits) / kLanes;
    for (int32_t i = 0; i < steps; ++i) vstrbq_s8(expanded + i * stride, vdupq_n_s8(0));
    const int32_t packed_bytes = RowBytes({shape.num_runs, shape.run_length, order_bits});
    return ExpandRuns(row, shape, {8 / order_bits, packed_bytes & -kLanes, stride}, expanded);
  }
  if (shape.bits == 8) return ExpandContiguous<8>(row, count, order_bits, stride, expanded);
  if (shape.bits == 4) return ExpandContiguous<4>(row, count, order_bits, stride, expanded);
  return ExpandContiguous<2>(row, count, order_bits, stride, expanded);
}

}  // namespace mve
}  // namespace quantmcu
