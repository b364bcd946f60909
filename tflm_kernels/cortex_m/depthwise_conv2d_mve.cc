// DepthwiseConv2D for MVE, at all widths: sixteen channels are lanes; blocks of channels are in the
// outer loop, so that their weights and tables are expanded once; scratch: taps x 16 + 256 bytes.
//
// A tap outside reads the zero point, which makes sum((x - z) * w) = sum(x * w) - z * sum(w) over
// all taps: the second part is folded into the bias. Sums stay in int16 where no input can overflow
// them.
// A depth multiplier other than 1 goes to the reference.
// GCC 12 schedules before it allocates registers, and loads vectors so early that they are spilled.
#pragma GCC optimize("no-schedule-insns")

#include "tflm_kernels/cortex_m/channel_block_mve.h"
#include "tflm_kernels/cortex_m/kernels_mve.h"
#include "tflm_kernels/cortex_m/window_mve.h"

namespace quantmcu {
namespace mve {
namespace {

int32_t NumTaps(const Window& window) { return window.kernel_height * window.kernel_width; }

template <typename Sums>
inline void AddProducts(int8x16_t x, int8x16_t w, Sums* sums) {
  AddLanes(vmullbq_int_s8(x, w), vmulltq_int_s8(x, w), sums);
}

// The table entries of a block in the order of wide lanes; channels behind the last one have 0.
// They lie behind the block's weights, where a walk through these ends.
struct TableEntries {
  int32_t bias[4];
  int32_t multiplier[4];
  int32_t left[4];
  int32_t right[4];
};

struct Block {
  int32_t first;
  int32_t count;  // of channels, 1 to kLanes
  const int8_t* weights;
};

struct Depthwise {
  const DepthwiseConv2DParams& params;
  const uint8_t* input;
  const uint8_t* filter;
  const int32_t* bias;
  const int32_t* multiplier;
  const int32_t* shift;
  uint8_t* output;
  int8_t* scratch;
};

template <int kBits>
void ExpandWeights(const Depthwise& conv, const Block& block) {
  const int32_t tap_bytes = RunBytes(conv.params.output.channels, kBits);
  const uint8_t* tap = conv.filter + block.first * kBits / 8;
  for (int32_t t = 0; t < NumTaps(conv.params.window); ++t, tap += tap_bytes) {
    vstrbq_s8(conv.scratch + t * kLanes, LoadBlock<kBits>(tap, block.count));
  }
}

// Biases become bias - z * sum(w).
template <typename Sums>
void FillTable(const Depthwise& conv, const Block& block) {
  const int8x16_t zero = vdupq_n_s8(static_cast<int8_t>(conv.params.input.zero_point));
  const int8_t* w = block.weights;
  Sums zeros = ZeroSums<Sums>();
  for (int32_t t = NumTaps(conv.params.window); t > 0; --t, w += kLanes) {
    AddProducts(zero, vldrbq_s8(w), &zeros);
  }
  const WideSums folded = Widened(zeros);
  TableEntries* table = reinterpret_cast<TableEntries*>(conv.scratch + (w - block.weights));
  for (int v = 0; v < kWideVectors; ++v, ++table) {
    for (int32_t lane = 0; lane < 4; ++lane) {
      const int32_t channel = WideChannel(v, lane);
      const bool is_channel = channel < block.count;
      const int32_t at = block.first + channel;
      const int32_t shift = is_channel ? conv.shift[at] : 0;
      table->bias[lane] = is_channel ? conv.bias[at] : 0;
      table->multiplier[lane] = is_channel ? conv.multiplier[at] : 0;
      table->left[lane] = shift > 0 ? shift : 0;
      table->right[lane] = shift < 0 ? shift : 0;
    }
    vstrwq_s32(table->bias, vsubq_s32(vldrwq_s32(table->bias), folded.vectors[v]));
  }
}

template <typename Sums>
Block PrepareBlock(const Depthwise& conv, int32_t first) {
  const int32_t remaining = conv.params.output.channels - first;
  const Block block = {first, remaining < kLanes ? remaining : kLanes, conv.scratch};
  if (conv.params.weight_bits == 8) {
    ExpandWeights<8>(conv, block);
  } else if (conv.params.weight_bits == 4) {
    ExpandWeights<4>(conv, block);
  } else {
    ExpandWeights<2>(conv, block);
  }
  FillTable<Sums>(conv, block);
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

// Sixteen channels of `num_pixels` neighbours whose windows lie inside; `first` is the first tap of
// the first window. A function of its own, so that its innermost loop has all registers.
template <int kBits, typename Sums>
[[gnu::noinline]] void RunInside(const Depthwise& conv, const Block& block, const uint8_t* first,
                                 int32_t num_pixels, uint8_t* bytes) {
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
        AddProducts(LoadLanes<kBits>(tap), vldrbq_s8(w), &sums);
      }
    }
    StoreLanes(bytes, out.bits, Finished(conv.params, w, Widened(sums)));
  }
}

// One pixel of any block; (y, x) is the input position of its first tap.
template <int kBits, typename Sums>
void RunClipped(const Depthwise& conv, const Block& block, int32_t y, int32_t x, uint8_t* bytes) {
  const FeatureMap& in = conv.params.input;
  const Window& window = conv.params.window;
  const int8x16_t zero = vdupq_n_s8(static_cast<int8_t>(in.zero_point));
  const uint8_t* input = conv.input + block.first * kBits / 8;
  const int8_t* w = block.weights;
  Sums sums = ZeroSums<Sums>();
  for (int32_t ky = 0; ky < window.kernel_height; ++ky) {
    const int32_t iy = y + ky * window.dilation_height;
    for (int32_t kx = 0; kx < window.kernel_width; ++kx, w += kLanes) {
      const int32_t ix = x + kx * window.dilation_width;
      const bool is_inside = iy >= 0 && iy < in.height && ix >= 0 && ix < in.width;
      const int8x16_t values =
          is_inside ? LoadBlock<kBits>(input + PixelOffset(in, iy, ix), block.count) : zero;
      AddProducts(values, vldrbq_s8(w), &sums);
    }
  }
  StoreBlock(bytes, conv.params.output.bits, Finished(conv.params, w, Widened(sums)), block.count);
}

template <int kBits, typename Sums>
void RunRow(const Depthwise& conv, const Block& block, const Range& inside, int32_t y,
            uint8_t* bytes) {
  const FeatureMap& in = conv.params.input;
  const FeatureMap& out = conv.params.output;
  const Window& window = conv.params.window;
  for (int32_t ox = 0; ox < out.width; ++ox) {
    const int32_t x = ox * window.stride_width - window.pad_left;
    uint8_t* pixel = bytes + ox * PixelBytes(out);
    if (ox == inside.begin && inside.end > ox) {
      const uint8_t* first = conv.input + PixelOffset(in, y, x) + block.first * kBits / 8;
      RunInside<kBits, Sums>(conv, block, first, inside.end - ox, pixel);
      ox = inside.end - 1;
    } else {
      RunClipped<kBits, Sums>(conv, block, y, x, pixel);
    }
  }
}

template <int kBits, typename Sums>
void RunBlocks(const Depthwise& conv) {
  const FeatureMap& out = conv.params.output;
  const Window& window = conv.params.window;
  const InsideRanges inside = WindowsInside(conv.params.input, out, window);
  for (int32_t first = 0; first < out.channels; first += kLanes) {
    const Block block = PrepareBlock<Sums>(conv, first);
    for (int32_t oy = 0; oy < out.height; ++oy) {
      const bool is_inside =
          oy >= inside.rows.begin && oy < inside.rows.end && block.count == kLanes;
      RunRow<kBits, Sums>(conv, block, is_inside ? inside.columns : Range{0, 0},
                          oy * window.stride_height - window.pad_top,
                          conv.output + PixelOffset(out, oy, 0) + first * out.bits / 8);
    }
  }
}

// Whether all sums of products lie in int16.
bool FitsNarrow(const DepthwiseConv2DParams& params) {
  const int32_t log2_product = params.input.bits - 1 + params.weight_bits - 1;
  return NumTaps(params.window) <= (INT16_MAX >> log2_product);
}

template <int kBits>
void Run(const Depthwise& conv) {
  if (FitsNarrow(conv.params)) {
    RunBlocks<kBits, NarrowSums>(conv);
  } else {
    RunBlocks<kBits, WideSums>(conv);
  }
}

}  // namespace

size_t DepthwiseConv2DScratchBytes(const DepthwiseConv2DParams& params) {
  if (params.depth_multiplier != 1) return 0;
  return NumTaps(params.window) * kLanes + kWideVectors * sizeof(TableEntries);
}

void DepthwiseConv2D(const DepthwiseConv2DParams& params, const uint8_t* input,
                     const uint8_t* filter, const int32_t* bias, const int32_t* multiplier,
                     const int32_t* shift, uint8_t* output, uint8_t* scratch) {
  if (params.depth_multiplier != 1) {
    reference::DepthwiseConv2D(params, input, filter, bias, multiplier, shift, output, scratch);
    return;
  }
  const Depthwise conv = {params,     input, filter, bias,
                          multiplier, shift, output, reinterpret_cast<int8_t*>(scratch)};
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
