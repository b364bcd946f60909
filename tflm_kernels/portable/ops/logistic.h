// portable/ops/logistic.h - logistic function of int8 values; the output's scale is 1/256, its zero
// point -128.
//
// out = 1 / (1 + e^-(scale * (in - in_zero)))                            docs/arithmetic.md A15
// Range    multiplier.shift >= 0.
// Memory   no allocation, no scratch; input and output may be the same.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_LOGISTIC_H_
#define TFLM_KERNELS_PORTABLE_OPS_LOGISTIC_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct LogisticParams {
  int32_t count;
  int32_t input_zero_point;
  int32_t radius;         // differences from the zero point of this size and more give 0 or 1
  FixedPoint multiplier;  // scale in Q4
};

using LogisticFn = void(const LogisticParams& params, const uint8_t* input, uint8_t* output);

namespace reference {
LogisticFn Logistic;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_LOGISTIC_H_
