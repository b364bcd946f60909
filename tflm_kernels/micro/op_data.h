// micro/op_data.h - what ops keep of their options from Init to Eval (docs/format.md F3).
//
// Op data is RAM for as long as the model is loaded, and TFLM rounds it up to 16 bytes. So it is the
// options alone, in the narrowest types that hold the ranges of limits.h, wide members first; heights
// and widths stay in the tensors. The params of a kernel are put together anew whenever it runs (node.h).
#ifndef TFLM_KERNELS_MICRO_OP_DATA_H_
#define TFLM_KERNELS_MICRO_OP_DATA_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct NarrowFormat {
  int8_t bits;
  int8_t zero_point;
};

struct NarrowClamp {
  int8_t min;
  int8_t max;
};

struct NarrowWindow {
  int16_t kernel_height;
  int16_t kernel_width;
  int16_t stride_height;
  int16_t stride_width;
  int16_t dilation_height;
  int16_t dilation_width;
  int16_t pad_top;
  int16_t pad_left;
};

inline Clamp Widened(const NarrowClamp& clamp) { return {clamp.min, clamp.max}; }

inline Window Widened(const NarrowWindow& window) {
  return {window.kernel_height,   window.kernel_width,   window.stride_height, window.stride_width,
          window.dilation_height, window.dilation_width, window.pad_top,       window.pad_left};
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_OP_DATA_H_
