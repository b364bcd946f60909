// cortex_m/mve/pool2d.h - what average_pool2d.cc and max_pool2d.cc share: sixteen channels
// are lanes, and the taps inside the input are a rectangle.
#ifndef TFLM_KERNELS_CORTEX_M_MVE_POOL2D_H_
#define TFLM_KERNELS_CORTEX_M_MVE_POOL2D_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/mve/channel_block.h"
#include "tflm_kernels/portable/ops/pool2d_params.h"

namespace quantmcu {
namespace mve {

// The taps inside: `pixels` is the first of them.
struct PoolTaps {
  const uint8_t* pixels;
  int32_t height;
  int32_t width;
};

// Taps [begin, begin + count) of an axis, inside the input.
struct TapRange {
  int32_t begin;
  int32_t count;
};

inline TapRange TapsInside(int32_t first, int32_t kernel, int32_t extent) {
  const int32_t begin = first > 0 ? first : 0;
  const int32_t end = first + kernel < extent ? first + kernel : extent;
  return {begin, end - begin};
}

// Calls visit(taps, bytes, count) for every block of channels of every output pixel: `count`
// channels from the taps' pixels on go to `bytes`.
template <typename Visit>
inline void ForEachPoolBlock(const Pool2DParams& params, const uint8_t* input, uint8_t* output,
                             Visit visit) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  const Window& window = params.window;
  for (int32_t oy = 0; oy < out.height; ++oy) {
    const TapRange rows =
        TapsInside(oy * window.stride_height - window.pad_top, window.kernel_height, in.height);
    for (int32_t ox = 0; ox < out.width; ++ox) {
      const TapRange columns =
          TapsInside(ox * window.stride_width - window.pad_left, window.kernel_width, in.width);
      const uint8_t* pixel = input + PixelOffset(in, rows.begin, columns.begin);
      uint8_t* bytes = output + PixelOffset(out, oy, ox);
      for (int32_t c = 0; c < out.channels; c += kLanes) {
        visit(PoolTaps{pixel + c * in.bits / 8, rows.count, columns.count},
              bytes + c * out.bits / 8, out.channels - c);
      }
    }
  }
}

// Calls add(values) for the block's values of every tap.
template <int kBits, typename AddValues>
inline void ForEachTap(const FeatureMap& input, const PoolTaps& taps, int32_t count,
                       AddValues add) {
  const int32_t pixel_bytes = PixelBytes(input);
  const uint8_t* row = taps.pixels;
  for (int32_t y = taps.height; y > 0; --y, row += input.row_bytes) {
    const uint8_t* pixel = row;
    for (int32_t x = taps.width; x > 0; --x, pixel += pixel_bytes) {
      add(LoadBlock<kBits>(pixel, count));
    }
  }
}

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_POOL2D_H_
