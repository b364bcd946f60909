#include "tflm_kernels/portable/ops/resize_bilinear.h"

namespace quantmcu {
namespace reference {
namespace {

constexpr int32_t kOne = 1 << 10;

// The two pixels that are mixed, and how much of the upper one there is in 1024ths.
struct Neighbours {
  int32_t lower;
  int32_t upper;
  int32_t share;
};

Neighbours NeighboursOf(const ResizeAxis& axis, int32_t index) {
  const int32_t position = index * axis.step + axis.first;
  const int32_t lower = position / kOne;
  const int32_t upper = (position + kOne - 1) / kOne;
  const int32_t last = axis.input_size - 1;
  Neighbours found = {lower < 0 ? 0 : lower, upper > last ? last : upper, 0};
  found.share = position - kOne * found.lower;
  return found;
}

int32_t Rounded(int64_t sum) {
  constexpr int64_t kHalf = 1 << 19;
  return static_cast<int32_t>((sum > 0 ? sum + kHalf : sum - kHalf) / (1 << 20));
}

}  // namespace

void ResizeBilinear(const ResizeBilinearParams& params, const uint8_t* input, uint8_t* output) {
  const auto* values = reinterpret_cast<const int8_t*>(input);
  const int32_t channels = params.channels;
  const int32_t row_bytes = params.columns.input_size * channels;
  for (int32_t y = 0; y < params.rows.output_size; ++y) {
    const Neighbours row = NeighboursOf(params.rows, y);
    for (int32_t x = 0; x < params.columns.output_size; ++x) {
      const Neighbours column = NeighboursOf(params.columns, x);
      const int8_t* rows[] = {values + row.lower * row_bytes, values + row.upper * row_bytes};
      const int64_t row_shares[] = {kOne - row.share, row.share};
      for (int32_t c = 0; c < channels; ++c) {
        int64_t sum = 0;
        for (int32_t i = 0; i < 2; ++i) {
          sum += row_shares[i] * (rows[i][column.lower * channels + c] * (kOne - column.share) +
                                  rows[i][column.upper * channels + c] * column.share);
        }
        *output++ = static_cast<uint8_t>(Rounded(sum));
      }
    }
  }
}

}  // namespace reference
}  // namespace quantmcu
