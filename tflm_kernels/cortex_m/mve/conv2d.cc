// Conv2D for MVE, at all widths: sums of four output channels over two pixels at a time, or over four (dot_quad.h).
//
// The windows of these pixels are expanded to int8 in scratch and serve up to kMaxQuads quads of channels; weights are
// read where they stand, but for short filters below 8 bits (kExpandedBytes). Input zero points are folded into the
// biases: sum((x - z) * w) = sum(x * w) - sum(z * w), where a tap outside reads z. The second is the sum of a window of
// zero points, which is the other window of a pair where there is but one pixel. Rows beyond kMaxRow go to the reference.
#include "tflm_kernels/cortex_m/mve/conv_pixels.h"
#include "tflm_kernels/cortex_m/mve/dot.h"
#include "tflm_kernels/cortex_m/mve/kernels.h"
#include "tflm_kernels/cortex_m/mve/window.h"

namespace quantmcu {
namespace mve {
namespace {

// Rows of a quad from `row` on. Those behind the last channel are the last one's: their results are dropped.
inline void SetRows(const uint8_t* row, int32_t row_bytes, int32_t channels_left, QuadRows* quad) {
  for (int32_t c = 0; c < kQuad; ++c) {
    quad->rows[c] = reinterpret_cast<const int8_t*>(row);
    if (c + 1 < channels_left) row += row_bytes;
  }
}

// The window of a pixel all of whose taps lie outside; its products are z * sum(w).
void FillZeroWindow(const Convolution& conv, int8_t* window, int32_t step) {
  const int8x16_t zero = vdupq_n_s8(static_cast<int8_t>(conv.params.input.zero_point));
  for (int32_t left = WindowBytes(conv.params); left > 0; left -= kLanes, window += step) {
    vstrbq_s8(window, zero);
  }
}

// Expands a quad's rows, which it then reads there. Returns z * sum(w) of each.
int32x4_t ExpandRows(const Convolution& conv, int8_t* weights, QuadRows* quad) {
  const RowShape shape = FilterRow(conv.params);
  const int32_t row_step = WindowBytes(conv.params);
  int32_t sums[kQuad];
  for (int32_t c = 0; c < kQuad; ++c, weights += row_step) {
    const uint8_t* row = reinterpret_cast<const uint8_t*>(quad->rows[c]);
    sums[c] = ExpandRow(row, shape, 8, kLanes, weights);
    quad->rows[c] = weights;
  }
  return vmulq_n_s32(vldrwq_s32(sums), conv.params.input.zero_point);
}

void PrepareBlock(const Convolution& conv, QuadBlock* block) {
  const int32_t row_bytes = RowBytes(FilterRow(conv.params));
  const int32_t quad_bytes = QuadBytes(conv.params);
  const uint8_t* row = conv.filter + block->first * row_bytes;
  int8_t* weights = conv.weights;
  int32_t first = block->first;
  int32_t largest_shift = 0;
  if (!conv.has_expanded_weights) FillZeroWindow(conv, conv.expanded, kLanes);
  for (int32_t q = 0; q < block->count; ++q, first += kQuad) {
    QuadRows& quad = block->quads[q];
    const int32_t channels_left = conv.channels.count - first;
    SetRows(row, row_bytes, channels_left, &quad);
    row += kQuad * row_bytes;
    int32x4_t zeros;
    if (conv.has_expanded_weights) {
      zeros = ExpandRows(conv, weights, &quad);
      weights += quad_bytes;
    } else {
      vstrwq_s32(quad.bias, vdupq_n_s32(0));
      zeros = conv.dots.one(&quad, conv.steps.rest, conv.expanded, conv.steps.blocks);
    }
    const mve_pred16_t inside = vctp32q(static_cast<uint32_t>(channels_left));
    const int32x4_t bias = vldrwq_z_s32(conv.channels.table.bias + first, inside);
    vstrwq_s32(quad.bias, vsubq_s32(bias, zeros));
    const int32x4_t shift = vldrwq_z_s32(conv.channels.table.shift + first, inside);
    largest_shift = vmaxvq_s32(largest_shift, shift);
  }
  block->shifts_left = largest_shift > 0;
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
  for (; conv.num_windows == kFour && left >= kFour; left -= kFour) {
    uint8_t* pixels[kFour];
    for (int32_t p = 0; p < kFour; ++p) {
      pixels[p] = TakePixel(conv, pixel_bytes, conv.expanded + p * kLanes, kFour * kLanes, &at);
    }
    if (block.shifts_left) {
      RunFour<true>(conv, block, pixels);
    } else {
      RunFour<false>(conv, block, pixels);
    }
  }
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

// The last quad of one pixel, with fewer channels; `quad` and `output` are its own.
[[gnu::noinline]] void RunRestOfPixel(const Convolution& conv, const QuadRows& quad, int32_t first,
                                      uint8_t* output) {
  const OutputLanes& lanes = conv.output_lanes;
  const PairSums sums = conv.dots.pair(&quad, conv.steps.rest, conv.expanded, conv.steps.blocks);
  const ChannelQuad channels = LoadQuad(conv.channels, first);
  const int32x4_t sum = vaddq_s32(vsubq_s32(sums.val[0], sums.val[1]), channels.bias);
  StoreQuad(output, lanes, Requantized(sum, channels.factor, lanes), channels.count);
}

// A map of one pixel, whose window stands beside one of zero points: sum((x - z) * w) is the difference of the two sums.
void RunOnePixel(const Convolution& conv) {
  ExpandWindow(conv.windows, 0, 0, conv.expanded, 2 * kLanes);
  FillZeroWindow(conv, conv.expanded + kLanes, 2 * kLanes);
  const OutputLanes lanes = conv.output_lanes;
  const RowSteps16 steps = conv.steps;
  const int8_t* windows = conv.expanded;
  const ChannelTable table = conv.channels.table;
  const int32_t count = conv.channels.count;
  const int32_t row_bytes = RowBytes(FilterRow(conv.params));
  DotPairFn* const dot = conv.dots.pair;
  uint8_t* output = conv.output;
  int32_t channel = 0;
  QuadRows quad = {};
  uint32x4_t rows = vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(row_bytes));
  rows = vaddq_n_u32(rows, static_cast<uint32_t>(reinterpret_cast<uintptr_t>(conv.filter)));
  for (; channel + kQuad <= count; channel += kQuad, output += kQuad * lanes.bits / 8) {
    vstrwq_u32(reinterpret_cast<uint32_t*>(quad.rows), rows);
    rows = vaddq_n_u32(rows, static_cast<uint32_t>(kQuad * row_bytes));
    const PairSums sums = dot(&quad, steps.rest, windows, steps.blocks);
    const int32x4_t sum =
        vaddq_s32(vsubq_s32(sums.val[0], sums.val[1]), vldrwq_s32(table.bias + channel));
    const Scales scales = WholeScales(table, channel);
    StoreWholeQuad(output, lanes, Result<true>(sum, scales, lanes));
  }
  if (channel == count) return;
  SetRows(conv.filter + channel * row_bytes, row_bytes, count - channel, &quad);
  RunRestOfPixel(conv, quad, channel, output);
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
                            NumWindows(params),
                            Steps16Of(windows.length / order.fields),
                            DotsOf(8 / order.fields)};
  if (IsOnePixel(params)) return RunOnePixel(conv);
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
