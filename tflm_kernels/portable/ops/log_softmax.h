// portable/ops/log_softmax.h - logarithms of the softmax of int8 rows; the output's scale is 1/16, its zero point 127.
//
// out[i] = scale * in[i] - log(sum of e^(scale * in[j]) over the row)      docs/arithmetic.md A36
// Layout   input and output [rows, depth].
// Range    multiplier.shift >= 0; depth below 4096, so that the sum fits.
// Memory   no allocation, no scratch; input and output may be the same.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_LOG_SOFTMAX_H_
#define TFLM_KERNELS_PORTABLE_OPS_LOG_SOFTMAX_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct LogSoftmaxParams {
  int32_t rows;
  int32_t depth;
  int32_t smallest_difference;  // what lies further below the row's largest value counts as 0
  FixedPoint multiplier;        // scale in Q5
  FixedPoint divisor;           // back from Q5 to steps of the input
};

using LogSoftmaxFn = void(const LogSoftmaxParams& params, const uint8_t* input, uint8_t* output);

namespace reference {
LogSoftmaxFn LogSoftmax;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_LOG_SOFTMAX_H_
