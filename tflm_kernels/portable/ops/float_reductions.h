// portable/ops/float_reductions.h - means, sums and lengths of float32 values, added one by one in their order.
//
// FloatMean             out[k] = (sum over r of in[k, r]) / divisor         docs/arithmetic.md A33
// FloatL2Normalization  out[i] = in[i] / max(sqrt(sum of in[j]^2 over the row), 1e-6)
// Layout   strided.h: `kept` and `reduced` extents with the input's steps; the output is dense. Rows: [rows, depth].
// Memory   no allocation, no scratch; the output of FloatMean overlaps no input.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_FLOAT_REDUCTIONS_H_
#define TFLM_KERNELS_PORTABLE_OPS_FLOAT_REDUCTIONS_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/strided.h"

namespace quantmcu {

struct FloatMeanParams {
  Dims kept;
  Dims kept_steps;
  Dims reduced;
  Dims reduced_steps;
  float divisor;
};

struct FloatRowsParams {
  int32_t rows;
  int32_t depth;
};

using FloatMeanFn = void(const FloatMeanParams& params, const float* input, float* output);
using FloatRowsFn = void(const FloatRowsParams& params, const float* input, float* output);

namespace reference {
FloatMeanFn FloatMean;
FloatRowsFn FloatL2Normalization;
}  // namespace reference

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_FLOAT_REDUCTIONS_H_
