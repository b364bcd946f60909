// DepthwiseConv2D for MVE, at all widths: sixteen channels are lanes, blocks of channels in the
// outer loop, so that a block's weights are expanded (taps x 16 bytes of scratch) and its table
// read once.
//
// A tap outside reads the zero point, which makes sum((x - z) * w) = sum(x * w) - z * sum(w) over
// all taps: the second part is folded into the bias. Sums stay in int16 where no input can overflow
// them.
// A depth multiplier other than 1 goes to the reference.
#include "tflm_kernels/cortex_m/channel_block_mve.h"
#include "tflm_kernels/cortex_m/kernels_mve.h"

namespace quantmcu {
namespace mve {
namespace {

int32_t NumTaps(const Window& window) { return window.kernel_height * window.kernel_width; }

// Sums of one block's products; narrow ones fit int16.
struct NarrowSums {
  int16x8_t even;
  int16x8_t odd;
};

inline NarrowSums Zero(const NarrowSums*) { return {vdupq_n_s16(0), vdupq_n_s16(0)}; }

inline WideSums Zero(const WideSums*) {
  const int32x4_t zero = vdupq_n_s32(0);
  return {zero, zero, zero, zero};
}

inline void AddProducts(int8x16_t x, int8x16_t w, NarrowSums* sums) {
  sums->even = vaddq_s16(sums->even, vmullbq_int_s8(x, w));
  sums->odd = vaddq_s16(sums->odd, vmulltq_int_s8(x, w));
}

inline void AddProducts(int8x16_t x, int8x16_t w, WideSums* sums) {
  const WideSums products = Widened(vmullbq_int_s8(x, w), vmulltq_int_s8(x, w));
#pragma GCC unroll 4
  for (int v = 0; v < kWideVectors; ++v) {
    sums->vectors[v] = vaddq_s32(sums->vectors[v], products.vectors[v]);
  }
}

inline WideSums Widened(const NarrowSums& sums) { return Widened(sums.even, sums.odd); }
inline WideSums Widened(const WideSums& sums) { return sums; }

// The table entries of a block in the order of wide lanes; channels behind the last one have 0.
struct BlockTable {
  int32_t bias[kWideVectors][4];
  int32_t multiplier[kWideVectors][4];
  int32_t left[kWideVectors][4];
  int32_t right[kWideVectors][4];
};

struct Block {
  int32_t first;
  int32_t count;  // of channels, 1 to kLanes
  const int8_t* weights;
  BlockTable table;
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

// bias - z * sum(w)
template <typename Sums>
void FillTable(const Depthwise& conv, Block* block) {
  const int8x16_t zero = vdupq_n_s8(static_cast<int8_t>(conv.params.input.zero_point));
  Sums zeros = Zero(static_cast<const Sums*>(nullptr));
  for (int32_t t = 0; t < NumTaps(conv.params.window); ++t) {
    AddProducts(zero, vldrbq_s8(block->weights + t * kLanes), &zeros);
  }
  const WideSums folded = Widened(zeros);
  for (int v = 0; v < kWideVectors; ++v) {
    for (int32_t lane = 0; lane < 4; ++lane) {
      const int32_t channel = WideChannel(v, lane);
      const bool is_channel = channel < block->count;
      const int32_t at = block->first + channel;
      const int32_t shift = is_channel ? conv.shift[at] : 0;
      block->table.bias[v][lane] = is_channel ? conv.bias[at] : 0;
      block->table.multiplier[v][lane] = is_channel ? conv.multiplier[at] : 0;
      block->table.left[v][lane] = shift > 0 ? shift : 0;
      block->table.right[v][lane] = shift < 0 ? shift : 0;
    }
    const int32x4_t bias = vldrwq_s32(block->table.bias[v]);
    vstrwq_s32(block->table.bias[v], vsubq_s32(bias, folded.vectors[v]));
  }
}

template <typename Sums>
Block PrepareBlock(const Depthwise& conv, int32_t first) {
  const int32_t remaining = conv.params.output.channels - first;
  Block block = {first, remaining < kLanes ? remaining : kLanes, conv.scratch, {}};
  if (conv.params.weight_bits == 8) {
    ExpandWeights<8>(conv, block);
  } else if (conv.params.weight_bits == 4) {
    ExpandWeights<4>(conv, block);
  } else {
    ExpandWeights<2>(conv, block);
  }
  FillTable<Sums>(conv, &block);
  return block;
}

// The window of an output pixel: where its first tap lies and whether all taps are inside.
struct Corner {
  int32_t y;
  int32_t x;
  bool is_row_range_inside;
};

template <int kBits, typename Sums>
inline Sums SumInside(const Depthwise& conv, const Block& block, const Corner& corner) {
  const FeatureMap& in = conv.params.input;
  const Window& window = conv.params.window;
  const int32_t tap_step = window.dilation_width * PixelBytes(in);
  const int32_t row_step = window.dilation_height * in.row_bytes;
  const uint8_t* row = conv.input + PixelOffset(in, corner.y, corner.x) + block.first * kBits / 8;
  const int8_t* w = block.weights;
  Sums sums = Zero(static_cast<const Sums*>(nullptr));
  for (int32_t ky = window.kernel_height; ky > 0; --ky, row += row_step) {
    const uint8_t* tap = row;
    for (int32_t kx = window.kernel_width; kx > 0; --kx, tap += tap_step, w += kLanes) {
      AddProducts(LoadBlock<kBits>(tap, block.count), vldrbq_s8(w), &sums);
    }
  }
  return sums;
}

template <int kBits, typename Sums>
Sums SumClipped(const Depthwise& conv, const Block& block, const Corner& corner) {
  const FeatureMap& in = conv.params.input;
  const Window& window = conv.params.window;
  const int8x16_t zero = vdupq_n_s8(static_cast<int8_t>(in.zero_point));
  const uint8_t* first = conv.input + block.first * kBits / 8;
  const int8_t* w = block.weights;
  Sums sums = Zero(static_cast<const Sums*>(nullptr));
  for (int32_t ky = 0; ky < window.kernel_height; ++ky) {
    const int32_t y = corner.y + ky * window.dilation_height;
    for (int32_t kx = 0; kx < window.kernel_width; ++kx, w += kLanes) {
      const int32_t x = corner.x + kx * window.dilation_width;
      const bool is_inside = y >= 0 && y < in.height && x >= 0 && x < in.width;
      const int8x16_t values =
          is_inside ? LoadBlock<kBits>(first + PixelOffset(in, y, x), block.count) : zero;
      AddProducts(values, vldrbq_s8(w), &sums);
    }
  }
  return sums;
}

inline int8x16_t Finished(const DepthwiseConv2DParams& params, const BlockTable& table,
                          WideSums sums) {
#pragma GCC unroll 4
  for (int v = 0; v < kWideVectors; ++v) {
    const FixedPointLanes factor = {vldrwq_s32(table.multiplier[v]), vldrwq_s32(table.left[v]),
                                    vldrwq_s32(table.right[v])};
    const int32x4_t accumulators = vaddq_s32(sums.vectors[v], vldrwq_s32(table.bias[v]));
    sums.vectors[v] = vaddq_n_s32(Multiply(accumulators, factor), params.output.zero_point);
  }
  return Clamped(Narrowed(sums), params.clamp);
}

inline bool IsRangeInside(int32_t first, int32_t taps, int32_t dilation, int32_t extent) {
  return first >= 0 && first + (taps - 1) * dilation < extent;
}

template <int kBits, typename Sums>
void RunBlocks(const Depthwise& conv) {
  const DepthwiseConv2DParams& params = conv.params;
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  const Window& window = params.window;
  for (int32_t first = 0; first < out.channels; first += kLanes) {
    const Block block = PrepareBlock<Sums>(conv, first);
    for (int32_t oy = 0; oy < out.height; ++oy) {
      Corner corner = {oy * window.stride_height - window.pad_top, -window.pad_left, false};
      corner.is_row_range_inside =
          IsRangeInside(corner.y, window.kernel_height, window.dilation_height, in.height);
      uint8_t* bytes = conv.output + PixelOffset(out, oy, 0) + first * out.bits / 8;
      for (int32_t ox = 0; ox < out.width; ++ox) {
        const bool is_inside =
            corner.is_row_range_inside &&
            IsRangeInside(corner.x, window.kernel_width, window.dilation_width, in.width);
        const Sums sums = is_inside ? SumInside<kBits, Sums>(conv, block, corner)
                                    : SumClipped<kBits, Sums>(conv, block, corner);
        StoreBlock(bytes, out.bits, Finished(params, block.table, Widened(sums)), block.count);
        bytes += PixelBytes(out);
        corner.x += window.stride_width;
      }
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

int32_t DepthwiseConv2DScratchBytes(const DepthwiseConv2DParams& params) {
  return params.depth_multiplier == 1 ? NumTaps(params.window) * kLanes : 0;
}

void DepthwiseConv2D(const DepthwiseConv2DParams& params, const uint8_t* input,
                     const uint8_t* filter, const int32_t* bias, const int32_t* multiplier,
                     const int32_t* shift, uint8_t* output, uint8_t* scratch) {
  if (params.depth_multiplier != 1) {
    reference::DepthwiseConv2D(params, input, filter, bias, multiplier, shift, output);
    return;
  }
  const Depthwise conv = {params, input,  filter, bias, multiplier,
                          shift,  output, reinterpret_cast<int8_t*>(scratch)};
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
