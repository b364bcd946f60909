// portable/ops/l2_normalization.h - int8 rows divided by their length; the output's scale is 1/128, its zero point 0.
//
// out[i] = (in[i] - zero) / sqrt(sum of (in[j] - zero)^2 over the row)     docs/arithmetic.md A35
// Layout   input and output [rows, depth].
// Range    depth at most 33,025, so that the sum of squares fits.
// Memory   no allocation, no scratch; input and output may be the same.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_L2_NORMALIZATION_H_
#define TFLM_KERNELS_PORTABLE_OPS_L2_NORMALIZATION_H_

#include <stdint.h>

namespace quantmcu {

struct L2NormalizationParams {
  int32_t rows;
  int32_t depth;
  int32_t input_zero_point;
};

using L2NormalizationFn = void(const L2NormalizationParams& params, const uint8_t* input,
                               uint8_t* output);

namespace reference {
L2NormalizationFn L2Normalization;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_L2_NORMALIZATION_H_
