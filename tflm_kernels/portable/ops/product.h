// portable/ops/product.h - elementwise product of two packed 8/4/2-bit feature maps, batch 1.
//
// out = clamp(multiply((in_0 - zero_0) * (in_1 - zero_1), multiplier) + out_zero)      docs/arithmetic.md A12
// Layout   input0, input1 and output have the same height, width and channels, or input1 one pixel, a factor a channel;
//          runs: format.md F2.
// Range    limits.h.
// Memory   no allocation, no scratch; the inputs may be the same, the output neither.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_PRODUCT_H_
#define TFLM_KERNELS_PORTABLE_OPS_PRODUCT_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct ProductParams {
  FeatureMap input0;
  FeatureMap input1;
  FeatureMap output;
  Clamp clamp;
  FixedPoint multiplier;
};

using ProductFn = void(const ProductParams& params, const uint8_t* input0, const uint8_t* input1,
                       uint8_t* output);

namespace reference {
ProductFn Product;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_PRODUCT_H_
