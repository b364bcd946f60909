// portable/ops/depth_to_space.h - a packed feature map whose pixels become blocks of pixels, a part of the channels each.
//
// out[y,x,c] = A7 of in[Y / h, X / w, (Y % h * w + X % w) * C + c], Y = y + top, X = x + left, blocks of h x w
// docs/arithmetic.md A29
// Layout   input [H,W,h*w*C]  output [Ho,Wo,C]; runs: format.md F2.
// Range    limits.h; h, w >= 1, top and left >= 0; all that is read lies inside the input.
// Memory   no allocation, no scratch; input and output do not overlap.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_DEPTH_TO_SPACE_H_
#define TFLM_KERNELS_PORTABLE_OPS_DEPTH_TO_SPACE_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct DepthToSpaceParams {
  FeatureMap input;
  FeatureMap output;
  int32_t block_height;
  int32_t block_width;
  int32_t top;
  int32_t left;
  Clamp clamp;
  FixedPoint multiplier;
};

using DepthToSpaceFn = void(const DepthToSpaceParams& params, const uint8_t* input,
                            uint8_t* output);

namespace reference {
DepthToSpaceFn DepthToSpace;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_DEPTH_TO_SPACE_H_
