// portable/ops/resize_nearest.h - a packed feature map made larger by whole factors, each pixel repeated.
//
// out[y,x] = A7 of in[(y + top) / factor_height, (x + left) / factor_width], rounding down
// docs/arithmetic.md A28
// Layout   input [H,W,C]  output [Ho,Wo,C]; runs: format.md F2.
// Range    limits.h; factors >= 1, top and left >= 0; all that is read lies inside the input.
// Memory   no allocation, no scratch; input and output do not overlap.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_RESIZE_NEAREST_H_
#define TFLM_KERNELS_PORTABLE_OPS_RESIZE_NEAREST_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct ResizeNearestParams {
  FeatureMap input;
  FeatureMap output;
  int32_t factor_height;
  int32_t factor_width;
  int32_t top;
  int32_t left;
  Clamp clamp;
  FixedPoint multiplier;
};

using ResizeNearestFn = void(const ResizeNearestParams& params, const uint8_t* input,
                             uint8_t* output);

namespace reference {
ResizeNearestFn ResizeNearest;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_RESIZE_NEAREST_H_
