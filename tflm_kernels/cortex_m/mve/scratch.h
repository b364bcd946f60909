// cortex_m/mve/scratch.h - what the scratch of the MVE kernels depends on. No intrinsics: on the host it
// tells what a core will ask for.
#ifndef TFLM_KERNELS_CORTEX_M_MVE_SCRATCH_H_
#define TFLM_KERNELS_CORTEX_M_MVE_SCRATCH_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/packed.h"
#include "tflm_kernels/portable/ops/conv2d.h"
#include "tflm_kernels/portable/ops/depthwise_conv2d.h"
#include "tflm_kernels/portable/ops/fully_connected.h"

namespace quantmcu {
namespace mve {

constexpr int32_t kLanes = 16;        // int8 of a vector
constexpr int32_t kQuad = 4;          // channels of a convolution at once
constexpr int kWideVectors = 4;       // of int32 that hold the lanes
constexpr int32_t kMaxRow = 1 << 16;  // values; the reference takes longer rows

// A row of weights or inputs: `num_runs` runs of `run_length` values, one behind the other.
struct RowShape {
  int32_t num_runs;
  int32_t run_length;
  int32_t bits;
};

inline int32_t RowBytes(const RowShape& shape) {
  return shape.num_runs * RunBytes(shape.run_length, shape.bits);
}

// Bytes of a row expanded for a packed operand of `order_bits`: a multiple of 16.
inline int32_t ExpandedBytes(const RowShape& shape, int32_t order_bits) {
  const int32_t packed_bytes = RowBytes({shape.num_runs, shape.run_length, order_bits});
  return (packed_bytes * (8 / order_bits) + kLanes - 1) / kLanes * kLanes;
}

// ---- Convolution

constexpr int32_t kMaxQuads = 16;  // on the stack, 32 bytes each

// Weights below 8 bits are taken out of their bytes product by product. Over many pixels short filters, or few, become
// int8 first: at most so many bytes at a time.
constexpr int32_t kExpandedBytes = 1024;
constexpr int32_t kMaxExpandedWindow = 32;  // values
constexpr int32_t kMinExpandedPixels = 16;
constexpr int32_t kManyExpandedPixels = 256;  // if bytes have unused bits, for then it takes longer
constexpr int32_t kMaxZeroWindow = 1024;      // bytes of scratch for it
constexpr int32_t kMaxWindowOfFour = 512;     // so that four take at most 1 KB more than two
constexpr int32_t kMaxWindowOfTwo = 512;      // of a tile of but two pixels, whose scratch counts

inline RowShape FilterRow(const Conv2DParams& params) {
  return {params.window.kernel_height * params.window.kernel_width, params.input.channels,
          params.weight_bits};
}

// Whether kernels of one tap stay inside. A tile's input may begin before its first window: then its padding is
// below 0.
inline bool PixelsInside(int32_t input, int32_t output, int32_t stride, int32_t pad) {
  return pad <= 0 && (output - 1) * stride - pad < input;
}

inline bool NeedsGather(const Conv2DParams& params) {
  const Window& w = params.window;
  return w.kernel_height != 1 || w.kernel_width != 1 ||
         !PixelsInside(params.input.height, params.output.height, w.stride_height, w.pad_top) ||
         !PixelsInside(params.input.width, params.output.width, w.stride_width, w.pad_left);
}

inline bool HasExpandedWeights(const Conv2DParams& params) {
  const RowShape row = FilterRow(params);
  const int32_t window = (row.num_runs * row.run_length + kLanes - 1) / kLanes * kLanes;
  const int32_t quads = (params.output.channels + kQuad - 1) / kQuad;
  const bool is_dense = row.run_length * row.bits % 8 == 0;
  return row.bits != 8 &&
         params.output.height * params.output.width >=
             (is_dense ? kMinExpandedPixels : kManyExpandedPixels) &&
         (window <= kMaxExpandedWindow || window <= kExpandedBytes / kQuad / quads);
}

// Values of a byte of weights, as the sums read them.
inline int32_t FieldsOf(const Conv2DParams& params) {
  return HasExpandedWeights(params) ? 1 : 8 / params.weight_bits;
}

// Values of a tap, with those that fill up the last byte of its weights.
inline int32_t TapSlots(const Conv2DParams& params) {
  const int32_t fields = FieldsOf(params);
  return (params.input.channels + fields - 1) / fields * fields;
}

// Of a window as int8 values: whole blocks of 16 bytes of weights.
inline int32_t WindowBytes(const Conv2DParams& params) {
  const int32_t block = kLanes * FieldsOf(params);
  return (FilterRow(params).num_runs * TapSlots(params) + block - 1) / block * block;
}

// Of a quad's weights, expanded.
inline int32_t QuadBytes(const Conv2DParams& params) {
  return HasExpandedWeights(params) ? kQuad * WindowBytes(params) : 0;
}

// Quads that use a window once it is expanded.
inline int32_t NumQuads(const Conv2DParams& params) {
  const int32_t all = (params.output.channels + kQuad - 1) / kQuad;
  const int32_t most = all < kMaxQuads ? all : kMaxQuads;
  if (!HasExpandedWeights(params)) return most;
  const int32_t fitting = kExpandedBytes / QuadBytes(params);
  return fitting < most ? fitting : most;
}

// Whether taps are whole vectors of what meets weights, so that each is expanded to where it belongs.
inline bool HasWholeTaps(int32_t channels, int32_t fields) {
  return fields == 1 && channels % kLanes == 0;
}

// Of a window in the order of the map; where it need not be whole, of a block.
inline int32_t FlatBytes(const Conv2DParams& params) {
  if (HasWholeTaps(params.input.channels, FieldsOf(params))) return 0;
  if (NeedsGather(params)) return WindowBytes(params) + kLanes;
  return FieldsOf(params) == 1 ? 0 : kLanes * FieldsOf(params);
}

// Whether there is but one pixel, whose products are summed beside those of zero points: these are a constant where
// weights have 8 bits, and a window otherwise, if there is room for it.
inline bool IsOnePixel(const Conv2DParams& params) {
  return params.output.height * params.output.width == 1 &&
         (params.weight_bits == 8 || WindowBytes(params) <= kMaxZeroWindow);
}

// Windows that are expanded at once.
inline int32_t NumWindows(const Conv2DParams& params) {
  const int32_t pixels = params.output.height * params.output.width;
  if (pixels >= 4 && FieldsOf(params) > 1 && WindowBytes(params) <= kMaxWindowOfFour) return 4;
  if (pixels == 2 && params.weight_bits == 8 && WindowBytes(params) > kMaxWindowOfTwo) return 1;
  return pixels > 1 || (IsOnePixel(params) && params.weight_bits != 8) ? 2 : 1;
}

inline bool IsCovered(const Conv2DParams& params) {
  const RowShape row = FilterRow(params);
  return int64_t{row.num_runs} * row.run_length <= kMaxRow;
}

// ---- Depthwise convolution

inline int32_t NumTaps(const Window& window) { return window.kernel_height * window.kernel_width; }

constexpr int32_t kEight = 8;      // channels of a pixel at once
constexpr int32_t kFewPixels = 3;  // of more a block's set-up pays

// Whether pixels are made one by one, by filter and table where they stand.
inline bool HasFewPixels(const DepthwiseConv2DParams& params) {
  const FeatureMap& out = params.output;
  return out.height * out.width <= kFewPixels && out.channels % kEight == 0 && out.bits == 8 &&
         params.input.bits == 8 && params.weight_bits == 8 && params.depth_multiplier == 1;
}

// The table entries of a block in the order of wide lanes; channels behind the last one have 0.
// They lie behind the block's weights, where a walk through these ends.
struct TableEntries {
  int32_t bias[4];
  int32_t multiplier[4];
  int32_t left[4];
  int32_t right[4];
};

// ---- Fully connected

inline bool NeedsExpansion(const FullyConnectedParams& params) {
  return params.input.bits != 8 || params.weight_bits != 8;
}

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_SCRATCH_H_
