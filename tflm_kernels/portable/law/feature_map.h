// portable/law/feature_map.h - how a kernel sees a feature map and the window that slides over it.
//
// A FeatureMap is a view [height, width, channels] of packed pixels. `row_bytes` is the distance
// between rows, so a view may be a tile inside a larger map that the kernel reads or writes in
// place; the data pointer that goes with a view points at its pixel (0, 0). A view may have height
// or width 0: then every tap of a window lies outside.
// Structs hold int32 only: arrays of int32 (C API, patch stage programs) have their layout.
// Source   written from docs/arithmetic.md A3 and docs/format.md F2.
#ifndef TFLM_KERNELS_PORTABLE_LAW_FEATURE_MAP_H_
#define TFLM_KERNELS_PORTABLE_LAW_FEATURE_MAP_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/packed.h"

namespace quantmcu {

struct FeatureMap {
  int32_t height;
  int32_t width;
  int32_t channels;
  int32_t row_bytes;
  int32_t bits;
  int32_t zero_point;
};

struct Window {
  int32_t kernel_height;
  int32_t kernel_width;
  int32_t stride_height;
  int32_t stride_width;
  int32_t dilation_height;
  int32_t dilation_width;
  int32_t pad_top;  // negative pads crop
  int32_t pad_left;
};

inline int32_t PixelBytes(const FeatureMap& map) { return RunBytes(map.channels, map.bits); }

inline int32_t PixelOffset(const FeatureMap& map, int32_t y, int32_t x) {
  return y * map.row_bytes + x * PixelBytes(map);
}

// Calls visit(pixel_offset, tap) for the window's taps over output pixel (oy, ox) that lie inside
// the input; tap = ky * kernel_width + kx.
template <typename Visit>
void ForEachTapInside(const FeatureMap& input, const Window& window, int32_t oy, int32_t ox,
                      Visit visit) {
  for (int32_t ky = 0; ky < window.kernel_height; ++ky) {
    const int32_t iy = oy * window.stride_height - window.pad_top + ky * window.dilation_height;
    if (iy < 0 || iy >= input.height) continue;
    for (int32_t kx = 0; kx < window.kernel_width; ++kx) {
      const int32_t ix = ox * window.stride_width - window.pad_left + kx * window.dilation_width;
      if (ix < 0 || ix >= input.width) continue;
      visit(PixelOffset(input, iy, ix), ky * window.kernel_width + kx);
    }
  }
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_LAW_FEATURE_MAP_H_
