// cortex_m/plain/segments.h - the output positions of an axis, cut where other taps of the window lie inside the map.
#ifndef TFLM_KERNELS_CORTEX_M_PLAIN_SEGMENTS_H_
#define TFLM_KERNELS_CORTEX_M_PLAIN_SEGMENTS_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {
namespace plain {

// One axis of a window.
struct Axis {
  int32_t input;
  int32_t output;
  int32_t kernel;
  int32_t stride;
  int32_t dilation;
  int32_t pad;
};

inline Axis RowsOf(const FeatureMap& in, const FeatureMap& out, const Window& w) {
  return {in.height, out.height, w.kernel_height, w.stride_height, w.dilation_height, w.pad_top};
}

inline Axis ColumnsOf(const FeatureMap& in, const FeatureMap& out, const Window& w) {
  return {in.width, out.width, w.kernel_width, w.stride_width, w.dilation_width, w.pad_left};
}

// Output positions [begin, end) whose windows have the taps [first_tap, last_tap) inside.
struct Segment {
  int32_t begin;
  int32_t end;
  int32_t first_tap;
  int32_t last_tap;
};

inline Segment SegmentAt(const Axis& axis, int32_t begin) {
  Segment segment = {begin, begin + 1, 0, axis.kernel};
  int32_t position = begin * axis.stride - axis.pad;
  const int32_t reach = (axis.kernel - 1) * axis.dilation;
  if (position >= 0 && position + reach < axis.input) {
    while (segment.end < axis.output) {
      position += axis.stride;
      if (position + reach >= axis.input) break;
      ++segment.end;
    }
    return segment;
  }
  while (segment.first_tap < axis.kernel && position + segment.first_tap * axis.dilation < 0) {
    ++segment.first_tap;
  }
  while (segment.last_tap > segment.first_tap &&
         position + (segment.last_tap - 1) * axis.dilation >= axis.input) {
    --segment.last_tap;
  }
  return segment;
}

}  // namespace plain
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_PLAIN_SEGMENTS_H_
