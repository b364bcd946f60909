// cortex_m/mve/depthwise_3x3.h - windows of 3x3 taps for sixteen channels of a depthwise convolution, without a loop.
//
// Where an int16 cannot hold all nine products it holds two: only two times -128 * -128 is too much for it, and
// weights that are -128 twice are left to other loops. Factors shift right: a block with one that shifts left is
// left to them too.
#ifndef TFLM_KERNELS_CORTEX_M_MVE_DEPTHWISE_3X3_H_
#define TFLM_KERNELS_CORTEX_M_MVE_DEPTHWISE_3X3_H_

#include <arm_mve.h>
#include <stdint.h>

#include "tflm_kernels/cortex_m/mve/depthwise_block.h"
#include "tflm_kernels/cortex_m/mve/window.h"

namespace quantmcu {
namespace mve {

constexpr int32_t kTaps3x3 = 9;

inline bool Is3x3(const Window& window) {
  return window.kernel_height == 3 && window.kernel_width == 3;
}

// Whether no channel's weights are -128 in both taps of a pair.
inline bool FitPairs(const int8_t* weights) {
  int8x16_t least = vdupq_n_s8(0);
  for (int t = 0; t + 1 < kTaps3x3; t += 2) {
    const int8_t* pair = weights + t * kLanes;
    least = vminq_s8(least, vmaxq_s8(vldrbq_s8(pair), vldrbq_s8(pair + kLanes)));
  }
  return vminvq_s8(0, least) > INT8_MIN;
}

// Taps of a window inside the input: the first one, and steps in bytes.
struct InsideTaps {
  const uint8_t* first;
  int32_t row_step;
  int32_t tap_step;

  const uint8_t* At(int t) const { return first + t / 3 * row_step + t % 3 * tap_step; }
};

// Taps of any window, each where it stands, or where zero points do.
struct AnyTaps {
  const uint8_t* taps[kTaps3x3];

  const uint8_t* At(int t) const { return taps[t]; }
};

// The sums of a window, in int16 if they fit, and its values.
template <int kBits, bool kIsNarrow, typename Taps>
inline int8x16_t Values3x3(const DepthwiseConv2DParams& params, const int8_t* weights,
                           const Taps& taps) {
  const TableEntries* table = reinterpret_cast<const TableEntries*>(weights + kTaps3x3 * kLanes);
  WideSums sums;
  for (int v = 0; v < kWideVectors; ++v) sums.vectors[v] = vldrwq_s32(table[v].bias);
  NarrowSums narrow;
#pragma GCC unroll 9
  for (int t = 0; t < kTaps3x3; ++t) {
    const int8x16_t x = LoadLanes<kBits>(taps.At(t));
    const int8x16_t w = vldrbq_s8(weights + t * kLanes);
    const NarrowSums products = {vmullbq_int_s8(x, w), vmulltq_int_s8(x, w)};
    if (t == 0 || (!kIsNarrow && t % 2 == 0)) {
      narrow = products;
    } else {
      AddLanes(products.even, products.odd, &narrow);
    }
    if (t == kTaps3x3 - 1 || (!kIsNarrow && t % 2 == 1)) {
      AddLanes(narrow.even, narrow.odd, &sums);
      // No instructions: GCC 12 adds to the bias last otherwise, and keeps all that it adds on the stack.
      for (int v = 0; v < kWideVectors; ++v) asm("" : "+w"(sums.vectors[v]));
    } else {
      asm("" : "+w"(narrow.even), "+w"(narrow.odd));
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kWideVectors; ++v) {
    const int32x4_t right = vldrwq_s32(table[v].right);
    sums.vectors[v] =
        MultiplyRight(sums.vectors[v], {vldrwq_s32(table[v].multiplier), right, right});
  }
  return Clamped(NarrowedWith(sums, params.output.zero_point), params.clamp);
}

// Sixteen zero points as a map has them.
template <int kBits>
int8x16_t ZeroPoints(const FeatureMap& map) {
  uint8_t byte = 0;
  for (int32_t i = 0; i < 8 / kBits; ++i) StoreValue(&byte, i, kBits, map.zero_point);
  return vdupq_n_s8(static_cast<int8_t>(byte));
}

// The rows of a window's taps, from the block's first channel of column 0 on; nullptr outside.
struct TapRows {
  const uint8_t* rows[3];
};

inline TapRows RowsOf(const BlockwiseDepthwise& conv, const Block& block, int32_t y) {
  const FeatureMap& in = conv.params.input;
  const uint8_t* input = conv.input + FirstInputByte(conv.params, block);
  TapRows taps;
  for (const uint8_t*& row : taps.rows) {
    row = y >= 0 && y < in.height ? input + y * in.row_bytes : nullptr;
    y += conv.params.window.dilation_height;
  }
  return taps;
}

// Taps of a window that is not wholly inside; its first one lies in column x.
inline AnyTaps ClippedTaps(const BlockwiseDepthwise& conv, const TapRows& rows, int32_t x,
                           int32_t tap_step, const uint8_t* zeros) {
  const uint32_t width = static_cast<uint32_t>(conv.params.input.width);
  const int32_t dilation = conv.params.window.dilation_width;
  int32_t offset = x * PixelBytes(conv.params.input);
  AnyTaps taps;
#pragma GCC unroll 3
  for (int kx = 0; kx < 3; ++kx, x += dilation, offset += tap_step) {
    const bool is_inside = static_cast<uint32_t>(x) < width;
#pragma GCC unroll 3
    for (int ky = 0; ky < 3; ++ky) {
      const uint8_t* row = rows.rows[ky];
      taps.taps[ky * 3 + kx] = is_inside && row != nullptr ? row + offset : zeros;
    }
  }
  return taps;
}

// A row of a block of 3x3 windows; `inside`: the pixels whose windows are.
template <int kBits, bool kIsNarrow>
[[gnu::noinline]] void RunRow3x3(const BlockwiseDepthwise& conv, const Block& block,
                                 const Range& inside, int32_t y, uint8_t* bytes) {
  const FeatureMap& in = conv.params.input;
  const FeatureMap& out = conv.params.output;
  const Window& window = conv.params.window;
  uint8_t zeros[kLanes];
  vstrbq_s8(reinterpret_cast<int8_t*>(zeros), ZeroPoints<kBits>(in));
  InsideTaps taps = {nullptr, window.dilation_height * in.row_bytes,
                     window.dilation_width * PixelBytes(in)};
  const TapRows rows = RowsOf(conv, block, y);
  int32_t x = -window.pad_left;
  const int32_t out_bits = out.bits;
  const int32_t out_step = PixelBytes(out);
  const int32_t in_step = window.stride_width * PixelBytes(in);
  for (int32_t ox = 0; ox < out.width;) {
    if (ox < inside.begin || ox >= inside.end) {
      const AnyTaps any = ClippedTaps(conv, rows, x, taps.tap_step, zeros);
      StoreLanes(bytes, out_bits, Values3x3<kBits, kIsNarrow>(conv.params, block.weights, any));
      ++ox;
      x += window.stride_width;
      bytes += out_step;
      continue;
    }
    taps.first = conv.input + PixelOffset(in, y, x) + FirstInputByte(conv.params, block);
    for (; ox < inside.end; ++ox) {
      StoreLanes(bytes, out_bits, Values3x3<kBits, kIsNarrow>(conv.params, block.weights, taps));
      taps.first += in_step;
      bytes += out_step;
    }
    x = ox * window.stride_width - window.pad_left;
  }
}

template <int kBits, bool kIsNarrow>
void RunBlock3x3(const BlockwiseDepthwise& conv, const Block& block, const InsideRanges& inside) {
  const FeatureMap& out = conv.params.output;
  const Window& window = conv.params.window;
  for (int32_t oy = 0; oy < out.height; ++oy) {
    const bool is_inside = oy >= inside.rows.begin && oy < inside.rows.end;
    RunRow3x3<kBits, kIsNarrow>(conv, block, is_inside ? inside.columns : Range{0, 0},
                                oy * window.stride_height - window.pad_top,
                                conv.output + PixelOffset(out, oy, 0) + block.first * out.bits / 8);
  }
}

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_DEPTHWISE_3X3_H_
