// Conv2D for MVE, at all widths: sums of four output channels over two pixels at a time (dot_quad.h).
//
// The windows of the two pixels are expanded to int8 in scratch and serve up to kMaxQuads quads of channels; weights are
// read where they stand, but for short filters below 8 bits (kExpandedBytes). Input zero points are folded into the
// biases: sum((x - z) * w) = sum(x * w) - z * sum(w), where a tap outside reads z. Rows beyond kMaxRow go to the
// reference.
#include "tflm_kernels/cortex_m/mve/channel_quad.h"
#include "tflm_kernels/cortex_m/mve/dot.h"
#include "tflm_kernels/cortex_m/mve/dot_quad.h"
#include "tflm_kernels/cortex_m/mve/kernels.h"
#include "tflm_kernels/cortex_m/mve/window.h"

namespace quantmcu {
namespace mve {
namespace {

struct Convolution {
  const Conv2DParams& params;
  const uint8_t* filter;
  Channels channels;
  OutputLanes output_lanes;
  uint8_t* output;
  Windows windows;
  bool has_expanded_weights;
  int8_t* weights;   // of num_quads quads, if so
  int8_t* expanded;  // windows of a pair
  RowSteps16 steps;
  const QuadDots& dots;
};

// Quads of the same pixels.
struct QuadBlock {
  int32_t first;  // channel
  int32_t count;
  bool shifts_left;  // a factor does
  QuadRows quads[kMaxQuads];
};

// Returns the sums of the rows. Those behind the last channel are those of the last one: their results are dropped.
int32x4_t PrepareRows(const Convolution& conv, int32_t first, int8_t* weights, QuadRows* quad) {
  const RowShape shape = FilterRow(conv.params);
  const int32_t row_bytes = RowBytes(shape);
  const int32_t row_step = WindowBytes(conv.params);
  int32_t sums[kQuad] = {};
  for (int32_t c = 0; c < kQuad; ++c) {
    const int32_t last = conv.channels.count - 1;
    const uint8_t* row = conv.filter + (first + c < last ? first + c : last) * row_bytes;
    quad->rows[c] = reinterpret_cast<const int8_t*>(row);
    if (!conv.has_expanded_weights) continue;
    quad->rows[c] = weights + c * row_step;
    sums[c] = ExpandRow(row, shape, 8, kLanes, weights + c * row_step);
  }
  if (!conv.has_expanded_weights && conv.params.input.zero_point != 0) {
    return conv.dots.row_sums(*quad, conv.steps);
  }
  return vldrwq_s32(sums);
}

void PrepareBlock(const Convolution& conv, QuadBlock* block) {
  const int32_t quad_bytes = QuadBytes(conv.params);
  int32_t largest_shift = 0;
  for (int32_t q = 0; q < block->count; ++q) {
    QuadRows& quad = block->quads[q];
    const int32_t first = block->first + q * kQuad;
    const int32x4_t sums = PrepareRows(conv, first, conv.weights + q * quad_bytes, &quad);
    const mve_pred16_t inside = vctp32q(static_cast<uint32_t>(conv.channels.count - first));
    const int32x4_t bias = vldrwq_z_s32(conv.channels.table.bias + first, inside);
    vstrwq_s32(quad.bias, vsubq_s32(bias, vmulq_n_s32(sums, conv.params.input.zero_point)));
    const int32x4_t shift = vldrwq_z_s32(conv.channels.table.shift + first, inside);
    largest_shift = vmaxvq_s32(largest_shift, shift);
  }
  block->shifts_left = largest_shift > 0;
}

// Where the results of a pixel go.
struct Pixels {
  uint8_t* first;
  uint8_t* second;  // of a pair
};

// How results of four channels from `channel` on follow from their sums.
struct Scales {
  int32x4_t multiplier;
  int32x4_t shift;
};

inline Scales WholeScales(const ChannelTable& table, int32_t channel) {
  return {vldrwq_s32(table.multiplier + channel), vldrwq_s32(table.shift + channel)};
}

template <bool kShiftsLeft>
inline int32x4_t Result(int32x4_t sums, const Scales& scales, const OutputLanes& lanes) {
  if constexpr (kShiftsLeft)
    return Requantized(sums, Lanes(scales.multiplier, scales.shift), lanes);
  return Offset(MultiplyRight(sums, {scales.multiplier, scales.shift, scales.shift}), lanes);
}

// The last quad of a map, with fewer channels.
template <bool kIsPair, bool kShiftsLeft>
[[gnu::noinline]] void RunRest(const Convolution& conv, const QuadRows& quad, int32_t channel,
                               const Pixels& pixels) {
  const RowSteps16 steps = conv.steps;
  const OutputLanes& lanes = conv.output_lanes;
  const int32_t rest = conv.channels.count - channel;
  PairSums sums = {};
  if constexpr (kIsPair) {
    sums = conv.dots.pair(&quad, steps.rest, conv.expanded, steps.blocks);
  } else {
    sums.val[0] = conv.dots.one(&quad, steps.rest, conv.expanded, steps.blocks);
  }
  const ChannelTable& table = conv.channels.table;
  const mve_pred16_t inside = vctp32q(static_cast<uint32_t>(rest));
  const Scales scales = {vldrwq_z_s32(table.multiplier + channel, inside),
                         vldrwq_z_s32(table.shift + channel, inside)};
  StoreQuad(pixels.first, lanes, Result<kShiftsLeft>(sums.val[0], scales, lanes), rest);
  if constexpr (kIsPair) {
    StoreQuad(pixels.second, lanes, Result<kShiftsLeft>(sums.val[1], scales, lanes), rest);
  }
}

// All quads of a block for one or two pixels whose windows are expanded. kIsBytes: the sums are those of 8-bit weights,
// which are called by their names.
template <bool kIsPair, bool kShiftsLeft, bool kIsBytes>
[[gnu::noinline]] void RunPixels(const Convolution& conv, const QuadBlock& block,
                                 const Pixels& pixels) {
  const OutputLanes lanes = conv.output_lanes;
  const RowSteps16 steps = conv.steps;
  const int8_t* windows = conv.expanded;
  const ChannelTable table = conv.channels.table;
  DotPairFn* const dot_pair = kIsBytes ? DotPair8 : conv.dots.pair;
  DotOneFn* const dot_one = kIsBytes ? DotOne8 : conv.dots.one;
  const int32_t quad_bytes = kQuad * lanes.bits / 8;
  const QuadRows* quad = block.quads;
  const QuadRows* end = quad + block.count;
  int32_t channel = block.first;
  if (conv.channels.count - channel < block.count * kQuad) --end;
  uint8_t* first = pixels.first;
  uint8_t* second = pixels.second;
  for (; quad != end; ++quad, channel += kQuad, first += quad_bytes) {
    if constexpr (kIsPair) {
      const PairSums sums = dot_pair(quad, steps.rest, windows, steps.blocks);
      const Scales scales = WholeScales(table, channel);
      StoreQuads(first, second, lanes, Result<kShiftsLeft>(sums.val[0], scales, lanes),
                 Result<kShiftsLeft>(sums.val[1], scales, lanes));
      second += quad_bytes;
    } else {
      const int32x4_t sums = dot_one(quad, steps.rest, windows, steps.blocks);
      const Scales scales = WholeScales(table, channel);
      StoreQuad(first, lanes, Result<kShiftsLeft>(sums, scales, lanes), kQuad);
    }
  }
  if (quad != block.quads + block.count) {
    RunRest<kIsPair, kShiftsLeft>(conv, *quad, channel, {first, second});
  }
}

template <bool kIsPair>
void RunPixels(const Convolution& conv, const QuadBlock& block, const Pixels& pixels) {
  const bool is_bytes = conv.dots.pair == DotPair8;
  if (block.shifts_left) {
    RunPixels<kIsPair, true, false>(conv, block, pixels);
  } else if (is_bytes) {
    RunPixels<kIsPair, false, true>(conv, block, pixels);
  } else {
    RunPixels<kIsPair, false, false>(conv, block, pixels);
  }
}

// Output pixels, one row behind the other.
struct Cursor {
  int32_t y;
  int32_t x;
  uint8_t* row;    // where its results go
  uint8_t* pixel;  // and the pixel's
};

// Expands the window of the pixel at the cursor, and goes on. Returns where the pixel's results go.
inline uint8_t* TakePixel(const Convolution& conv, int32_t pixel_bytes, int8_t* expanded,
                          int32_t step, Cursor* at) {
  const FeatureMap& out = conv.params.output;
  ExpandWindow(conv.windows, at->y, at->x, expanded, step);
  uint8_t* pixel = at->pixel;
  at->pixel += pixel_bytes;
  if (++at->x == out.width) {
    uint8_t* row = at->row + out.row_bytes;
    *at = {at->y + 1, 0, row, row};
  }
  return pixel;
}

void RunBlock(const Convolution& conv, const QuadBlock& block) {
  const FeatureMap& out = conv.params.output;
  const int32_t pixel_bytes = PixelBytes(out);
  uint8_t* output = conv.output + block.first * out.bits / 8;
  Cursor at = {0, 0, output, output};
  int32_t left = out.height * out.width;
  for (; left > 1; left -= 2) {
    Pixels pair;
    pair.first = TakePixel(conv, pixel_bytes, conv.expanded, 2 * kLanes, &at);
    pair.second = TakePixel(conv, pixel_bytes, conv.expanded + kLanes, 2 * kLanes, &at);
    RunPixels<true>(conv, block, pair);
  }
  if (left > 0) {
    uint8_t* pixel = TakePixel(conv, pixel_bytes, conv.expanded, kLanes, &at);
    RunPixels<false>(conv, block, {pixel, pixel});
  }
}

}  // namespace

void Conv2D(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
            const ChannelTable& table, uint8_t* output, uint8_t* scratch) {
  if (!IsCovered(params)) {
    reference::Conv2D(params, input, filter, table, output, scratch);
    return;
  }
  const int32_t num_quads = NumQuads(params);
  int8_t* expanded = reinterpret_cast<int8_t*>(scratch);
  int8_t* weights = expanded + NumWindows(params) * WindowBytes(params);
  int8_t* flat = weights + num_quads * QuadBytes(params);
  const WindowOrder order = {FieldsOf(params), TapSlots(params)};
  const Windows windows =
      MakeWindows(params.input, params.output, params.window, order, input, flat);
  const Convolution conv = {params,
                            filter,
                            {table, params.output.channels},
                            Lanes(params.output, params.clamp),
                            output,
                            windows,
                            HasExpandedWeights(params),
                            weights,
                            expanded,
                            Steps16Of(windows.length / order.fields),
                            DotsOf(8 / order.fields)};
  QuadBlock block;
  for (block.first = 0; block.first < params.output.channels; block.first += kQuad * block.count) {
    const int32_t quads_left = (params.output.channels - block.first + kQuad - 1) / kQuad;
    block.count = quads_left < num_quads ? quads_left : num_quads;
    PrepareBlock(conv, &block);
    RunBlock(conv, block);
  }
}

}  // namespace mve
}  // namespace quantmcu
