// portable/ops/softmax.h - softmax of int8 rows; the output's scale is 1/256, its zero point -128.
//
// out[i] = e^(beta * scale * in[i]) / sum of the row's                  docs/arithmetic.md A14
// Layout   input and output [rows, depth].
// Range    multiplier.shift >= 0; depth below 4096, so that the sum fits.
// Memory   no allocation, no scratch; input and output may be the same.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_SOFTMAX_H_
#define TFLM_KERNELS_PORTABLE_OPS_SOFTMAX_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct SoftmaxParams {
  int32_t rows;
  int32_t depth;
  int32_t smallest_difference;  // what lies further below the row's largest value counts as 0
  FixedPoint multiplier;        // beta * scale in Q5
};

using SoftmaxFn = void(const SoftmaxParams& params, const uint8_t* input, uint8_t* output);

namespace reference {
SoftmaxFn Softmax;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_SOFTMAX_H_
