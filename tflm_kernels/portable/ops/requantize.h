// portable/ops/requantize.h - change of format of a packed feature map with padding or cropping.
//
// out[y,x] = clamp(multiply(in[y - pad_top, x - pad_left] - in_zero, multiplier) + out_zero)
// and out_zero outside the input                                           docs/arithmetic.md A7
// Layout   input [H,W,C]  output [Ho,Wo,C]; runs: format.md F2.
// Range    limits.h; negative pads crop.
// Memory   no allocation, no scratch; input and output do not overlap.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_REQUANTIZE_H_
#define TFLM_KERNELS_PORTABLE_OPS_REQUANTIZE_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct RequantizeParams {
  FeatureMap input;
  FeatureMap output;
  int32_t pad_top;
  int32_t pad_left;
  Clamp clamp;
  FixedPoint multiplier;
};

using RequantizeFn = void(const RequantizeParams& params, const uint8_t* input, uint8_t* output);

namespace reference {
RequantizeFn Requantize;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_REQUANTIZE_H_
