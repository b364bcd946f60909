// cortex_m/dsp/scratch.h - what the scratch of the DSP kernels depends on. No intrinsics: on the host it
// tells what a core will ask for.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_SCRATCH_H_
#define TFLM_KERNELS_CORTEX_M_DSP_SCRATCH_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/packed.h"
#include "tflm_kernels/portable/ops/conv2d.h"
#include "tflm_kernels/portable/ops/depthwise_conv2d.h"

namespace quantmcu {
namespace dsp {

constexpr int32_t Smaller(int32_t a, int32_t b) { return a < b ? a : b; }

// Groups that `filter_bytes` of weights begin; at any width they hold 64 / w_bits bytes a pixel.
constexpr int32_t NumGroups(int32_t filter_bytes) { return (filter_bytes + 3) / 4; }
constexpr int32_t GroupBytes(int32_t w_bits) { return 64 / w_bits; }

// Words of pixels side by side, of a convolution.
constexpr int kStride = 2;
constexpr int kShortStride = 4;  // where filters are short

constexpr int32_t kMaxShortFilterBytes = 64;

inline int32_t FilterBytes(const Conv2DParams& params) {
  return params.window.kernel_height * params.window.kernel_width *
         RunBytes(params.input.channels, params.weight_bits);
}

// Whether four pixels meet a channel at a time: their scratch is small, and the results of a channel share its
// factor.
inline bool IsShort(const Conv2DParams& params) {
  return params.weight_bits == 8 && FilterBytes(params) <= kMaxShortFilterBytes;
}

// Bytes of a window that are gathered before they are widened, where taps do not begin on words of weights.
constexpr int32_t kMaxGathered = 160;

// Whether neighbouring taps are neighbours in a row of the input.
inline bool HasRowSpans(const Conv2DParams& params) {
  const int32_t channels = params.input.channels;
  return params.window.dilation_width == 1 &&
         RunBytes(channels, params.weight_bits) * params.input.bits ==
             RunBytes(channels, params.input.bits) * params.weight_bits;
}

// Whether the rows of a window are gathered: 8-bit maps, where rows do not end on words of weights, or are one or two.
inline bool IsGathered(const Conv2DParams& params) {
  const int32_t word_values = 32 / params.weight_bits;
  const int32_t row_slots =
      params.window.kernel_width *
      (RunBytes(params.input.channels, params.weight_bits) * 8 / params.weight_bits);
  return params.input.bits == 8 && HasRowSpans(params) &&
         NumGroups(FilterBytes(params)) * word_values <= kMaxGathered &&
         (row_slots % word_values != 0 ||
          (params.window.kernel_height > 1 && row_slots <= 2 * word_values));
}

// How depthwise_rows.h divides a map.
struct DepthwiseRowsPlan {
  int32_t num_planes;      // input channels of a block
  int32_t num_pairs;       // words of a row of a plane
  int32_t width;           // pixels of a row of the output, made even
  int32_t num_rows;        // of the output, at once
  int32_t num_input_rows;  // that they read

  int32_t PlaneWords() const { return num_input_rows * num_planes * num_pairs; }
  int32_t Words() const { return PlaneWords() + num_rows * width; }
};

constexpr int32_t kPlaneWordsAtOnce = 256;  // where three rows do not take more
constexpr int32_t kMaxInputRows = 16;

// Rectangles of output positions along an axis whose windows have the same taps inside, at most.
inline int32_t NumSegments(int32_t input, int32_t output, int32_t pad) {
  return Smaller(output, 1 + (pad > 0 ? 1 : 0) + (output - pad + 2 > input ? 1 : 0));
}

// Whether a window is one of those that depthwise_rows.h is for.
inline bool HasRowsWindow(const Window& w) {
  return w.kernel_height == 3 && w.kernel_width == 3 && w.dilation_height == 1 &&
         w.dilation_width == 1 && w.stride_height == 1 && w.stride_width == 1;
}

// Whether depthwise_rows.h takes it, where it takes less time than pairs of taps: of 459 small calls on an M4 the choice
// takes 1.001 times the cycles that the best one would.
inline bool HasRows(const DepthwiseConv2DParams& params) {
  const Window& w = params.window;
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  const int32_t num_rectangles =
      NumSegments(in.height, out.height, w.pad_top) * NumSegments(in.width, out.width, w.pad_left);
  const int32_t even_width = (out.width + 1) & ~1;
  return in.bits == 8 && HasRowsWindow(w) &&
         38 * out.height * out.width + 100 * num_rectangles >
             200 + 19 * out.height * (1 + even_width) + 3 * even_width;
}

inline DepthwiseRowsPlan RowsPlanOf(const DepthwiseConv2DParams& params) {
  const int32_t num_planes = params.depth_multiplier == 1 ? 4 : 1;
  const int32_t width = (params.output.width + 1) & ~1;
  const int32_t num_pairs = width / 2 + 1;
  const int32_t room = kPlaneWordsAtOnce / (num_planes * num_pairs);
  const int32_t rows = room < 3 ? 3 : room < kMaxInputRows ? room : kMaxInputRows;
  const int32_t num_rows = Smaller(rows - 2, params.output.height);
  return {num_planes, num_pairs, width, num_rows, num_rows + 2};
}

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_SCRATCH_H_
