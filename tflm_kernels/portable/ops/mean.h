// portable/ops/mean.h - mean of int8 values over any dimensions.
//
// out[k] = saturate(multiply(sum over r (in[k, r] - in_zero), multiplier) + out_zero)
// docs/arithmetic.md A11; the multiplier holds 1 / count.
// Layout   strided.h: `kept` and `reduced` extents with the input's steps; the output is dense.
// Range    at most 2^23 values a mean, so that their sum fits int32.
// Memory   no allocation, no scratch; input and output do not overlap.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_MEAN_H_
#define TFLM_KERNELS_PORTABLE_OPS_MEAN_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"
#include "tflm_kernels/portable/law/strided.h"

namespace quantmcu {

struct MeanParams {
  Dims kept;
  Dims kept_steps;
  Dims reduced;
  Dims reduced_steps;
  int32_t input_zero_point;
  int32_t output_zero_point;
  FixedPoint multiplier;
};

using MeanFn = void(const MeanParams& params, const uint8_t* input, uint8_t* output);

namespace reference {
MeanFn Mean;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_MEAN_H_
