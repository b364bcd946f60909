// cortex_m/dsp/segments.h - the output positions of an axis, cut where other taps of the window lie inside the map.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_SEGMENTS_H_
#define TFLM_KERNELS_CORTEX_M_DSP_SEGMENTS_H_

#include <stdint.h>

namespace quantmcu {
namespace dsp {

// One axis of the window.
struct Axis {
  int32_t input;
  int32_t output;
  int32_t kernel;
  int32_t stride;
  int32_t dilation;
  int32_t pad;
};

// Output positions [begin, end) whose windows have the taps [first_tap, last_tap) inside.
struct Segment {
  int32_t begin;
  int32_t end;
  int32_t first_tap;
  int32_t last_tap;
};

[[gnu::noinline]] inline Segment SegmentAt(const Axis& axis, int32_t begin) {
  const int32_t first_input = begin * axis.stride - axis.pad;
  // How many further windows lie inside as a whole.
  const int32_t room = axis.input - 1 - (axis.kernel - 1) * axis.dilation - first_input;
  if (first_input >= 0 && room >= 0) {
    const int32_t end = begin + room / axis.stride + 1;
    return {begin, end < axis.output ? end : axis.output, 0, axis.kernel};
  }
  Segment segment = {begin, begin + 1, 0, 0};
  for (int32_t k = 0; k < axis.kernel; ++k) {
    const int32_t position = first_input + k * axis.dilation;
    if (position < 0) segment.first_tap = k + 1;
    if (position < axis.input) segment.last_tap = k + 1;
  }
  return segment;
}

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_SEGMENTS_H_
