// portable/ops/add.h - elementwise sum of two packed 8/4/2-bit feature maps, batch 1.
//
// a_j = multiply((in_j - zero_j) * 2^20, multiplier_j)                     docs/arithmetic.md A4
// out = clamp(multiply(a_0 + a_1, output_multiplier) + out_zero)
// Layout   input0, input1 and output have the same height, width and channels; runs: format.md F2.
// Range    limits.h.
// Memory   no allocation, no scratch; the inputs may be the same, the output neither.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_ADD_H_
#define TFLM_KERNELS_PORTABLE_OPS_ADD_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct AddMultipliers {
  FixedPoint input0;
  FixedPoint input1;
  FixedPoint output;
};

struct AddParams {
  FeatureMap input0;
  FeatureMap input1;
  FeatureMap output;
  Clamp clamp;
  AddMultipliers multipliers;
};

using AddFn = void(const AddParams& params, const uint8_t* input0, const uint8_t* input1,
                   uint8_t* output);

namespace reference {
AddFn Add;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_ADD_H_
