// cortex_m/mve/window.h - windows of a convolution: which lie inside the input, and what they hold.
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

// What reads windows: `fields` values of a byte of weights, `slots` values a tap with those that fill up its last byte.
struct WindowOrder {
  int32_t fields;
  int32_t slots;
};

// The windows of a convolution as int8 values, tap behind tap in kernel order; taps outside have the zero point, slots
// behind a tap's values anything.
struct Windows {
  const FeatureMap& map;
  const Window& window;
  const uint8_t* input;
  InsideRanges inside;
  WindowOrder order;
  int32_t length;        // slots of a window
  int32_t piece_taps;    // neighbours in a window that are neighbours without gaps in the map too
  int32_t piece_length;  // values
  int32_t piece_slots;
  int32_t pixel_bytes;
  int32_t row_step;     // bytes between kernel rows
  bool is_direct;       // those inside can be expanded to where they belong, piece by piece
  bool is_split;        // the same, if fields are apart
  bool has_whole_taps;  // any can, tap by tap
  int8_t* flat;         // FlatBytes (scratch.h)
};

Windows MakeWindows(const FeatureMap& map, const FeatureMap& output, const Window& window,
                    const WindowOrder& order, const uint8_t* input, int8_t* flat);

// Writes the window of output pixel (oy, ox), 16 values every `step` bytes: of each 16 bytes of weights first what
// meets their first fields, then the second. Behind its end arbitrary values follow, to the end of the last block.
void ExpandWindow(const Windows& windows, int32_t oy, int32_t ox, int8_t* expanded, int32_t step);

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_WINDOW_H_
