// portable/ops/pool2d_params.h - what average_pool2d.h and max_pool2d.h share.
//
// Range    limits.h; dilation is 1 and every output element has a tap inside (PoolWindowFits).
#ifndef TFLM_KERNELS_PORTABLE_OPS_POOL2D_PARAMS_H_
#define TFLM_KERNELS_PORTABLE_OPS_POOL2D_PARAMS_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct Pool2DParams {
  FeatureMap input;
  FeatureMap output;
  Window window;
  Clamp clamp;
  FixedPoint multiplier;
};

using Pool2DFn = void(const Pool2DParams& params, const uint8_t* input, uint8_t* output);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_POOL2D_PARAMS_H_
