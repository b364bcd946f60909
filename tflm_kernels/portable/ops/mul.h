// portable/ops/mul.h - elementwise product of two int8 tensors, either of them broadcast.
//
// out = clamp(multiply((in0 - zero0) * (in1 - zero1), multiplier) + out_zero)
// docs/arithmetic.md A12
// Layout   strided.h: steps of 0 broadcast an input; the output is dense.
// Memory   no allocation, no scratch; the output overlaps neither input; the inputs may be the same.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_MUL_H_
#define TFLM_KERNELS_PORTABLE_OPS_MUL_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"
#include "tflm_kernels/portable/law/strided.h"

namespace quantmcu {

struct MulParams {
  Dims extents;
  Dims input0_steps;
  Dims input1_steps;
  int32_t input0_zero_point;
  int32_t input1_zero_point;
  int32_t output_zero_point;
  Clamp clamp;
  FixedPoint multiplier;
};

using MulFn = void(const MulParams& params, const uint8_t* input0, const uint8_t* input1,
                   uint8_t* output);

namespace reference {
MulFn Mul;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_MUL_H_
