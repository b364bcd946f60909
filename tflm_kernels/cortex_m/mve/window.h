// cortex_m/mve/window.h - windows inside the input, and copies of windows that may not be.
#ifndef TFLM_KERNELS_CORTEX_M_MVE_WINDOW_H_
#define TFLM_KERNELS_CORTEX_M_MVE_WINDOW_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {
namespace mve {

// [begin, end)
struct Range {
  int32_t begin;
  int32_t end;
};

struct InsideRanges {
  Range rows;
  Range columns;
};

// Of one axis; extents of input, output and kernel.
inline Range RangeInside(int32_t input, int32_t output, int32_t kernel, int32_t dilation,
                         int32_t stride, int32_t pad) {
  const int32_t last_tap = input - 1 - (kernel - 1) * dilation + pad;  // the first tap's last place
  const int32_t begin = pad > 0 ? (pad + stride - 1) / stride : 0;
  const int32_t end = last_tap >= 0 ? last_tap / stride + 1 : 0;
  const int32_t clipped = end < output ? end : output;
  return {begin, clipped > begin ? clipped : begin};
}

inline InsideRanges WindowsInside(const FeatureMap& input, const FeatureMap& output,
                                  const Window& window) {
  return {RangeInside(input.height, output.height, window.kernel_height, window.dilation_height,
                      window.stride_height, window.pad_top),
          RangeInside(input.width, output.width, window.kernel_width, window.dilation_width,
                      window.stride_width, window.pad_left)};
}

// Copies the windows of `count` output pixels from (oy, ox) on, one behind the other, their taps
// without gaps; taps outside get the zero point.
void GatherWindows(const FeatureMap& in, const Window& window, const uint8_t* input, int32_t oy,
                   int32_t ox, int32_t count, uint8_t* windows);

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_WINDOW_H_
