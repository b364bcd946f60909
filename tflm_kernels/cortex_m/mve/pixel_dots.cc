// DotPixels for MVE, for 8-bit maps and weights: a row of pixels is one run, as its weights are, and meets two outputs
// at a time, sixteen products an instruction. The sums of the weights, which the zero point is folded with, are taken
// on the way. Other widths go to the reference.
#include <arm_mve.h>

#include "tflm_kernels/cortex_m/mve/channel_block.h"
#include "tflm_kernels/cortex_m/mve/kernels.h"
#include "tflm_kernels/portable/ops/pixel_sums.h"

namespace quantmcu {
namespace mve {
namespace {

struct Pair {
  int32_t sums[2];
  int32_t weight_sums[2];
};

// The second row may be the first one.
inline Pair DotPair(const int8_t* x, const int8_t* row0, const int8_t* row1, int32_t count) {
  Pair pair = {};
  for (int32_t i = 0; i < count; i += kLanes) {
    const mve_pred16_t inside = vctp8q(static_cast<uint32_t>(count - i));
    const int8x16_t values = vldrbq_z_s8(x + i, inside);
    const int8x16_t w0 = vldrbq_z_s8(row0 + i, inside);
    const int8x16_t w1 = vldrbq_z_s8(row1 + i, inside);
    pair.sums[0] = vmladavaq_s8(pair.sums[0], values, w0);
    pair.weight_sums[0] = vaddvaq_s8(pair.weight_sums[0], w0);
    pair.sums[1] = vmladavaq_s8(pair.sums[1], values, w1);
    pair.weight_sums[1] = vaddvaq_s8(pair.weight_sums[1], w1);
  }
  return pair;
}

inline int32_t Sum(int32_t before, const Pair& pair, int row, int32_t zero_point) {
  return WrappingAdd(before, pair.sums[row] - zero_point * pair.weight_sums[row]);
}

}  // namespace

void DotPixels(const DotPixelsParams& params, const uint8_t* pixels, const uint8_t* filter,
               int32_t* sums) {
  const FeatureMap& in = params.input;
  if (in.bits != 8 || params.weight_bits != 8) {
    reference::DotPixels(params, pixels, filter, sums);
    return;
  }
  const int32_t row_bytes = params.map_width * in.channels;
  const int32_t filter_bytes = params.map_height * row_bytes;
  const int32_t first = params.row * row_bytes + params.column * in.channels;
  // Whole rows without a gap are one.
  const bool is_one_run = in.width == params.map_width && in.row_bytes == row_bytes;
  const int32_t num_runs = is_one_run ? 1 : in.height;
  const int32_t count = in.width * in.channels * (is_one_run ? in.height : 1);
  for (int32_t o = 0; o < params.num_outputs; o += 2) {
    const bool is_pair = o + 1 < params.num_outputs;
    const auto* row = reinterpret_cast<const int8_t*>(filter) + o * filter_bytes + first;
    for (int32_t y = 0; y < num_runs; ++y, row += row_bytes) {
      const auto* x = reinterpret_cast<const int8_t*>(pixels) + y * in.row_bytes;
      const Pair pair = DotPair(x, row, is_pair ? row + filter_bytes : row, count);
      sums[o] = Sum(sums[o], pair, 0, in.zero_point);
      if (is_pair) sums[o + 1] = Sum(sums[o + 1], pair, 1, in.zero_point);
    }
  }
}

}  // namespace mve
}  // namespace quantmcu
