// DepthwiseConv2D for MVE, at all widths: sixteen channels are lanes; blocks of channels are in the
// outer loop, so that their weights and tables are expanded once; scratch: taps x 16 + 256 bytes.
//
// A tap outside reads the zero point, which makes sum((x - z) * w) = sum(x * w) - z * sum(w) over
// all taps: the second part is folded into the bias. Sums stay in int16 where no input can overflow
// them.
// With a depth multiplier above 1, and in blocks of fewer channels, each lane gathers its input. Of a few 8-bit pixels
// each is made by itself, without set-up (depthwise_pixel.h).
// GCC 12 schedules before it allocates registers, and loads vectors so early that they are spilled.
#ifndef __clang__
#pragma GCC optimize("no-schedule-insns")
#endif

#include "tflm_kernels/cortex_m/mve/depthwise_3x3.h"
#include "tflm_kernels/cortex_m/mve/depthwise_block.h"
#include "tflm_kernels/cortex_m/mve/depthwise_pixel.h"
#include "tflm_kernels/cortex_m/mve/kernels.h"
#include "tflm_kernels/cortex_m/mve/window.h"

namespace quantmcu {
namespace mve {
namespace {

// Writes the weights of a block, tap behind tap. Returns their sums, which fit Sums.
template <int kBits, typename Sums>
WideSums ExpandWeights(const BlockwiseDepthwise& conv, const Block& block) {
  const int32_t tap_bytes = RunBytes(conv.params.output.channels, kBits);
  const uint8_t* tap = conv.filter + block.first * kBits / 8;
  int8_t* weights = conv.scratch;
  Sums sums = ZeroSums<Sums>();
  for (int32_t t = NumTaps(conv.params.window); t > 0; --t, tap += tap_bytes, weights += kLanes) {
    const int8x16_t w = LoadBlock<kBits>(tap, block.count);
    vstrbq_s8(weights, w);
    AddLanes(vmovlbq_s8(w), vmovltq_s8(w), &sums);
  }
  return Widened(sums);
}

template <int kBits>
WideSums ExpandWeights(const BlockwiseDepthwise& conv, const Block& block) {
  constexpr int32_t kMostTaps = INT16_MAX >> (kBits - 1);
  if (NumTaps(conv.params.window) <= kMostTaps) {
    return ExpandWeights<kBits, NarrowSums>(conv, block);
  }
  return ExpandWeights<kBits, WideSums>(conv, block);
}

// Lanes behind the last channel read its input.
void SetInputChannels(const DepthwiseConv2DParams& params, Block* block) {
  const int32_t bits = params.input.bits;
  uint8_t offsets[kLanes];
  int8_t left_shifts[kLanes];
  for (int32_t lane = 0; lane < kLanes; ++lane) {
    const int32_t channel = lane < block->count ? lane : block->count - 1;
    const int32_t bit = (block->first + channel) / params.depth_multiplier * bits;
    offsets[lane] = static_cast<uint8_t>(bit / 8 - FirstInputByte(params, *block));
    left_shifts[lane] = static_cast<int8_t>(8 - bits - bit % 8);
  }
  block->offsets = vldrbq_u8(offsets);
  block->left_shifts = vldrbq_s8(left_shifts);
}

// The lanes of an input pixel; gathered they need not be neighbours, nor sixteen.
template <int kBits, bool kIsGathered>
inline int8x16_t ReadLanes(const uint8_t* bytes, const Block& block) {
  if constexpr (!kIsGathered) {
    return LoadLanes<kBits>(bytes);
  } else {
    const int8x16_t lanes =
        vldrbq_gather_offset_s8(reinterpret_cast<const int8_t*>(bytes), block.offsets);
    if constexpr (kBits == 8) {
      return lanes;
    } else {
      return vshrq_n_s8(vshlq_s8(lanes, block.left_shifts), 8 - kBits);
    }
  }
}

// Biases become bias - z * sum(w). `load` gives a block's entries of a wide vector. Returns whether a factor shifts left.
template <typename Load>
inline bool FillTable(const BlockwiseDepthwise& conv, const WideSums& sums, Load load) {
  const int32_t zero_point = conv.params.input.zero_point;
  TableEntries* table =
      reinterpret_cast<TableEntries*>(conv.scratch + NumTaps(conv.params.window) * kLanes);
  int32_t largest_shift = 0;
#pragma GCC unroll 4
  for (int v = 0; v < kWideVectors; ++v, ++table) {
    const int32x4_t shift = load(conv.table.shift, v);
    const FixedPointLanes factor = Lanes(load(conv.table.multiplier, v), shift);
    const int32x4_t zeros = vmulq_n_s32(sums.vectors[v], zero_point);
    vstrwq_s32(table->bias, vsubq_s32(load(conv.table.bias, v), zeros));
    vstrwq_s32(table->multiplier, factor.multiplier);
    vstrwq_s32(table->left, factor.left);
    vstrwq_s32(table->right, factor.right);
    largest_shift = vmaxvq_s32(largest_shift, shift);
  }
  return largest_shift > 0;
}

bool FillTable(const BlockwiseDepthwise& conv, const Block& block, const WideSums& sums) {
  const uint32x4_t fours = vshlq_n_u32(vidupq_n_u32(0, 1), 2);
  if (block.count == kLanes) {
    return FillTable(conv, sums, [=](const int32_t* values, int v) {
      return vldrwq_gather_shifted_offset_s32(values + block.first + WideChannel(v, 0), fours);
    });
  }
  const uint32x4_t count = vdupq_n_u32(static_cast<uint32_t>(block.count));
  return FillTable(conv, sums, [=](const int32_t* values, int v) {
    const uint32x4_t channels = vaddq_n_u32(fours, static_cast<uint32_t>(WideChannel(v, 0)));
    return vldrwq_gather_shifted_offset_z_s32(values + block.first, channels,
                                              vcmphiq_u32(count, channels));
  });
}

Block PrepareBlock(const BlockwiseDepthwise& conv, int32_t first) {
  const int32_t remaining = conv.params.output.channels - first;
  Block block = {first, remaining < kLanes ? remaining : kLanes, conv.scratch, {}, {}, false};
  if (conv.params.depth_multiplier > 1 || remaining < kLanes) {
    SetInputChannels(conv.params, &block);
  }
  if (conv.params.weight_bits == 8) {
    block.shifts_left = FillTable(conv, block, ExpandWeights<8>(conv, block));
  } else if (conv.params.weight_bits == 4) {
    block.shifts_left = FillTable(conv, block, ExpandWeights<4>(conv, block));
  } else {
    block.shifts_left = FillTable(conv, block, ExpandWeights<2>(conv, block));
  }
  return block;
}

// `behind_weights`: where the table lies.
inline int8x16_t Finished(const DepthwiseConv2DParams& params, const int8_t* behind_weights,
                          WideSums sums) {
  const TableEntries* table = reinterpret_cast<const TableEntries*>(behind_weights);
#pragma GCC unroll 4
  for (int v = 0; v < kWideVectors; ++v) {
    const FixedPointLanes factor = {vldrwq_s32(table[v].multiplier), vldrwq_s32(table[v].left),
                                    vldrwq_s32(table[v].right)};
    const int32x4_t accumulators = vaddq_s32(sums.vectors[v], vldrwq_s32(table[v].bias));
    sums.vectors[v] = vaddq_n_s32(Multiply(accumulators, factor), params.output.zero_point);
  }
  return Clamped(Narrowed(sums), params.clamp);
}

// A block of `num_pixels` neighbours whose windows lie inside; `first` is the first tap of the first
// window. A function of its own, so that its innermost loop has all registers.
template <int kBits, typename Sums, bool kIsGathered>
[[gnu::noinline]] void RunInside(const BlockwiseDepthwise& conv, const Block& block,
                                 const uint8_t* first, int32_t num_pixels, uint8_t* bytes) {
  const FeatureMap& in = conv.params.input;
  const FeatureMap& out = conv.params.output;
  const Window& window = conv.params.window;
  const int32_t tap_step = window.dilation_width * PixelBytes(in);
  const int32_t row_step = window.dilation_height * in.row_bytes;
  const int32_t window_step = window.stride_width * PixelBytes(in);
  const int32_t byte_step = PixelBytes(out);
  for (; num_pixels > 0; --num_pixels, first += window_step, bytes += byte_step) {
    const int8_t* w = block.weights;
    const uint8_t* row = first;
    Sums sums = ZeroSums<Sums>();
    for (int32_t ky = window.kernel_height; ky > 0; --ky, row += row_step) {
      const uint8_t* tap = row;
      for (int32_t kx = window.kernel_width; kx > 0; --kx, tap += tap_step, w += kLanes) {
        AddProducts(ReadLanes<kBits, kIsGathered>(tap, block), vldrbq_s8(w), &sums);
      }
    }
    const int8x16_t values = Finished(conv.params, w, Widened(sums));
    if constexpr (kIsGathered) {
      StoreBlock(bytes, out.bits, values, block.count);
    } else {
      StoreLanes(bytes, out.bits, values);
    }
  }
}

// One pixel of any block; (y, x) is the input position of its first tap.
template <int kBits, typename Sums, bool kIsGathered>
[[gnu::noinline]] void RunClipped(const BlockwiseDepthwise& conv, const Block& block, int32_t y,
                                  int32_t x, uint8_t* bytes) {
  const FeatureMap& in = conv.params.input;
  const Window& window = conv.params.window;
  const int8x16_t zero = vdupq_n_s8(static_cast<int8_t>(in.zero_point));
  const uint8_t* input = conv.input + FirstInputByte(conv.params, block);
  const int8_t* w = block.weights;
  Sums sums = ZeroSums<Sums>();
  for (int32_t ky = 0; ky < window.kernel_height; ++ky) {
    const int32_t iy = y + ky * window.dilation_height;
    for (int32_t kx = 0; kx < window.kernel_width; ++kx, w += kLanes) {
      const int32_t ix = x + kx * window.dilation_width;
      const bool is_inside = iy >= 0 && iy < in.height && ix >= 0 && ix < in.width;
      const int8x16_t values =
          is_inside ? ReadLanes<kBits, kIsGathered>(input + PixelOffset(in, iy, ix), block) : zero;
      AddProducts(values, vldrbq_s8(w), &sums);
    }
  }
  StoreBlock(bytes, conv.params.output.bits, Finished(conv.params, w, Widened(sums)), block.count);
}

template <int kBits, typename Sums, bool kIsGathered>
void RunRow(const BlockwiseDepthwise& conv, const Block& block, const Range& inside, int32_t y,
            uint8_t* bytes) {
  const FeatureMap& in = conv.params.input;
  const FeatureMap& out = conv.params.output;
  const Window& window = conv.params.window;
  for (int32_t ox = 0; ox < out.width; ++ox) {
    const int32_t x = ox * window.stride_width - window.pad_left;
    uint8_t* pixel = bytes + ox * PixelBytes(out);
    if (ox == inside.begin && inside.end > ox) {
      const uint8_t* first =
          conv.input + PixelOffset(in, y, x) + FirstInputByte(conv.params, block);
      RunInside<kBits, Sums, kIsGathered>(conv, block, first, inside.end - ox, pixel);
      ox = inside.end - 1;
    } else {
      RunClipped<kBits, Sums, kIsGathered>(conv, block, y, x, pixel);
    }
  }
}

template <int kBits, typename Sums, bool kIsGathered>
void RunBlock(const BlockwiseDepthwise& conv, const Block& block, const InsideRanges& inside) {
  const FeatureMap& out = conv.params.output;
  const Window& window = conv.params.window;
  for (int32_t oy = 0; oy < out.height; ++oy) {
    const bool is_inside = oy >= inside.rows.begin && oy < inside.rows.end;
    RunRow<kBits, Sums, kIsGathered>(
        conv, block, is_inside ? inside.columns : Range{0, 0},
        oy * window.stride_height - window.pad_top,
        conv.output + PixelOffset(out, oy, 0) + block.first * out.bits / 8);
  }
}

template <int kBits, typename Sums>
void RunBlocks(const BlockwiseDepthwise& conv) {
  constexpr bool kIsNarrow = sizeof(Sums) == sizeof(NarrowSums);
  const DepthwiseConv2DParams& params = conv.params;
  const InsideRanges inside = WindowsInside(params.input, params.output, params.window);
  const bool is_3x3 = Is3x3(params.window);
  for (int32_t first = 0; first < params.output.channels; first += kLanes) {
    const Block block = PrepareBlock(conv, first);
    if (params.depth_multiplier > 1 || block.count < kLanes) {
      RunBlock<kBits, WideSums, true>(conv, block, inside);
    } else if ((kIsNarrow || kBits == 8) && is_3x3 && !block.shifts_left &&
               (kIsNarrow || FitPairs(block.weights))) {
      RunBlock3x3<kBits, kIsNarrow>(conv, block, inside);
    } else {
      RunBlock<kBits, Sums, false>(conv, block, inside);
    }
  }
}

// Whether all sums of products lie in int16.
bool FitsNarrow(const DepthwiseConv2DParams& params) {
  const int32_t log2_product = params.input.bits - 1 + params.weight_bits - 1;
  return NumTaps(params.window) <= (INT16_MAX >> log2_product);
}

template <int kBits>
void Run(const BlockwiseDepthwise& conv) {
  if (FitsNarrow(conv.params)) {
    RunBlocks<kBits, NarrowSums>(conv);
  } else {
    RunBlocks<kBits, WideSums>(conv);
  }
}

}  // namespace

void DepthwiseConv2D(const DepthwiseConv2DParams& params, const uint8_t* input,
                     const uint8_t* filter, const ChannelTable& table, uint8_t* output,
                     uint8_t* scratch) {
  const BlockwiseDepthwise conv = {params, input,  filter,
                                   table,  output, reinterpret_cast<int8_t*>(scratch)};
  if (HasFewPixels(params)) return RunFewPixels(conv);
  if (params.input.bits == 8) {
    Run<8>(conv);
  } else if (params.input.bits == 4) {
    Run<4>(conv);
  } else {
    Run<2>(conv);
  }
}

}  // namespace mve
}  // namespace quantmcu
