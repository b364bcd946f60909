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

inline int32_t Smaller(int32_t a, int32_t b) { return a < b ? a : b; }

// Where the rows of whole quads stand, one quad behind the other.
class RowAddresses {
 public:
  RowAddresses(const uint8_t* first, int32_t row_bytes)
      : step_(static_cast<uint32_t>(kQuad * row_bytes)),
        rows_(vaddq_n_u32(vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(row_bytes)),
                          static_cast<uint32_t>(reinterpret_cast<uintptr_t>(first)))) {}

  void Take(QuadRows* quad) {
    vstrwq_u32(reinterpret_cast<uint32_t*>(quad->rows), rows_);
    rows_ = vaddq_n_u32(rows_, step_);
  }

 private:
  const uint32_t step_;
  uint32x4_t rows_;
};

// Rows of a quad from `row` on. Those behind the last channel are the last one's: their results are dropped.
inline void SetRows(const uint8_t* row, int32_t row_bytes, int32_t channels_left, QuadRows* quad) {
  for (int32_t c = 0; c < kQuad; ++c) {
    quad->rows[c] = reinterpret_cast<const int8_t*>(row);
    if (c + 1 < channels_left) row += row_bytes;
  }
}

int8x16_t ZeroPoints(const Convolution& conv) {
  return vdupq_n_s8(static_cast<int8_t>(conv.params.input.zero_point));
}

// The window of a pixel all of whose taps lie outside; its products are z * sum(w).
void FillZeroWindow(const Convolution& conv, int8_t* window, int32_t step) {
  const int8x16_t zero = ZeroPoints(conv);
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

// Whole quads of 8-bit weights, one behind the other. Returns their largest shift.
int32_t PrepareWholeQuads(const Convolution& conv, int32_t first, int32_t end, QuadRows* quad) {
  const RowSteps16 steps = conv.steps;
  const int8x16_t zero = ZeroPoints(conv);
  const int32_t row_bytes = RowBytes(FilterRow(conv.params));
  RowAddresses rows(conv.filter + first * row_bytes, row_bytes);
  const int32_t* bias = conv.channels.table.bias + first;
  const int32_t* shift = conv.channels.table.shift + first;
  int32_t largest_shift = 0;
  for (; first < end; first += kQuad, ++quad, bias += kQuad, shift += kQuad) {
    rows.Take(quad);
    const int32x4_t zeros = DotZeros8(quad, steps.rest, steps.blocks, zero);
    vstrwq_s32(quad->bias, vsubq_s32(vldrwq_s32(bias), zeros));
    largest_shift = vmaxvq_s32(largest_shift, vldrwq_s32(shift));
  }
  return largest_shift;
}

// z * sum(w) of each of a quad's rows, which become int8 at `weights` if they are read there.
int32x4_t ZeroProducts(const Convolution& conv, int8_t* weights, QuadRows* quad) {
  if (conv.has_expanded_weights) return ExpandRows(conv, weights, quad);
  const RowSteps16 steps = conv.steps;
  if (conv.params.weight_bits == 8) {
    return DotZeros8(quad, steps.rest, steps.blocks, ZeroPoints(conv));
  }
  vstrwq_s32(quad->bias, vdupq_n_s32(0));
  return conv.dots.one(quad, steps.rest, conv.expanded, steps.blocks);
}

void PrepareBlock(const Convolution& conv, QuadBlock* block) {
  const bool is_bytes = conv.params.weight_bits == 8;
  const int32_t row_bytes = RowBytes(FilterRow(conv.params));
  const int32_t num_whole =
      is_bytes ? Smaller((conv.channels.count - block->first) / kQuad, block->count) : 0;
  int32_t first = block->first + num_whole * kQuad;
  int32_t largest_shift = PrepareWholeQuads(conv, block->first, first, block->quads);
  if (!is_bytes && !conv.has_expanded_weights) FillZeroWindow(conv, conv.expanded, kLanes);
  const int32_t quad_bytes = QuadBytes(conv.params);
  const ChannelTable table = conv.channels.table;
  const uint8_t* row = conv.filter + first * row_bytes;
  int8_t* weights = conv.weights;
  for (int32_t q = num_whole; q < block->count; ++q, first += kQuad, row += kQuad * row_bytes) {
    QuadRows* const quad = &block->quads[q];
    const int32_t channels_left = conv.channels.count - first;
    SetRows(row, row_bytes, channels_left, quad);
    const int32x4_t zeros = ZeroProducts(conv, weights, quad);
    weights += quad_bytes;
    const mve_pred16_t inside = vctp32q(static_cast<uint32_t>(channels_left));
    vstrwq_s32(quad->bias, vsubq_s32(vldrwq_z_s32(table.bias + first, inside), zeros));
    largest_shift = vmaxvq_s32(largest_shift, vldrwq_z_s32(table.shift + first, inside));
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

// As many pixels at a time as long as there are so many left. Returns how many are left then.
template <int32_t kCount>
inline int32_t RunGroups(const Convolution& conv, const QuadBlock& block, int32_t left,
                         Cursor* at) {
  const int32_t pixel_bytes = PixelBytes(conv.params.output);
  for (; left >= kCount; left -= kCount) {
    uint8_t* pixels[kCount];
#pragma GCC unroll 4
    for (int32_t p = 0; p < kCount; ++p) {
      pixels[p] = TakePixel(conv, pixel_bytes, conv.expanded + p * kLanes, kCount * kLanes, at);
    }
    if constexpr (kCount < kFour) {
      RunPixels<kCount == 2>(conv, block, {pixels[0], pixels[kCount - 1]});
    } else if (block.shifts_left) {
      RunFour<true>(conv, block, pixels);
    } else {
      RunFour<false>(conv, block, pixels);
    }
  }
  return left;
}

void RunBlock(const Convolution& conv, const QuadBlock& block) {
  const FeatureMap& out = conv.params.output;
  uint8_t* output = conv.output + block.first * out.bits / 8;
  Cursor at = {0, 0, output, output};
  int32_t left = out.height * out.width;
  if (conv.num_windows == kFour) left = RunGroups<kFour>(conv, block, left, &at);
  if (conv.num_windows > 1) left = RunGroups<2>(conv, block, left, &at);
  RunGroups<1>(conv, block, left, &at);
}

// The last quad of one pixel, with fewer channels; `sums` and `output` are its own.
[[gnu::noinline]] void StoreRestOfPixel(const Convolution& conv, const PairSums& sums,
                                        int32_t first, uint8_t* output) {
  const OutputLanes& lanes = conv.output_lanes;
  const ChannelQuad channels = LoadQuad(conv.channels, first);
  const int32x4_t sum = vaddq_s32(vsubq_s32(sums.val[0], sums.val[1]), channels.bias);
  StoreQuad(output, lanes, Requantized(sum, channels.factor, lanes), channels.count);
}

// A map of one pixel: sum((x - z) * w) is the difference of the two sums that `dot` returns of a quad's rows.
template <typename Dot>
[[gnu::noinline]] void RunQuadsOfPixel(const Convolution& conv, Dot dot) {
  const OutputLanes lanes = conv.output_lanes;
  const ChannelTable table = conv.channels.table;
  const int32_t count = conv.channels.count;
  const int32_t row_bytes = RowBytes(FilterRow(conv.params));
  uint8_t* output = conv.output;
  int32_t channel = 0;
  QuadRows quad = {};
  RowAddresses rows(conv.filter, row_bytes);
  for (; channel + kQuad <= count; channel += kQuad, output += kQuad * lanes.bits / 8) {
    rows.Take(&quad);
    const PairSums sums = dot(quad);
    const int32x4_t sum =
        vaddq_s32(vsubq_s32(sums.val[0], sums.val[1]), vldrwq_s32(table.bias + channel));
    const Scales scales = WholeScales(table, channel);
    StoreWholeQuad(output, lanes, Result<true>(sum, scales, lanes));
  }
  if (channel == count) return;
  SetRows(conv.filter + channel * row_bytes, row_bytes, count - channel, &quad);
  StoreRestOfPixel(conv, dot(quad), channel, output);
}

// The window of the pixel stands alone for 8-bit weights, beside one of zero points for others.
void RunOnePixel(const Convolution& conv) {
  const RowSteps16 steps = conv.steps;
  const int8_t* windows = conv.expanded;
  const int32_t step = conv.num_windows * kLanes;
  ExpandWindow(conv.windows, 0, 0, conv.expanded, step);
  if (conv.params.weight_bits == 8) {
    const int8x16_t zero = ZeroPoints(conv);
    RunQuadsOfPixel(conv, [=](const QuadRows& quad) {
      return DotWithZeros8(&quad, steps.rest, windows, steps.blocks, zero);
    });
  } else {
    FillZeroWindow(conv, conv.expanded + kLanes, step);
    DotPairFn* const dot = conv.dots.pair;
    RunQuadsOfPixel(
        conv, [=](const QuadRows& quad) { return dot(&quad, steps.rest, windows, steps.blocks); });
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
                            NumWindows(params),
                            Steps16Of(windows.length / order.fields),
                            DotsOf(8 / order.fields)};
  if (IsOnePixel(params)) return RunOnePixel(conv);
  QuadBlock block;
  for (block.first = 0; block.first < params.output.channels; block.first += kQuad * block.count) {
    block.count = Smaller((params.output.channels - block.first + kQuad - 1) / kQuad, num_quads);
    PrepareBlock(conv, &block);
    RunBlock(conv, block);
  }
}

}  // namespace mve
}  // namespace quantmcu
