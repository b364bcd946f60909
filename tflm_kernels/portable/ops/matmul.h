// portable/ops/matmul.h - products of int8 matrices, both of them feature maps or constants with zero points.
//
// acc[..,m,n] = bias[n] + sum over k of (left[..,m,k] - left_zero) * (right[..,k,n] - right_zero)
// out = clamp(multiply(acc, multiplier) + out_zero)                        docs/arithmetic.md A30
// Layout   strided.h: steps of 0 broadcast, others transpose; the output is dense. The bias of an output value is the
//          one of its position modulo `num_biases`.
// Range    depth up to kMaxMatMulDepth.
// Memory   no allocation, no scratch; the output overlaps neither input; the inputs may be the same.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_MATMUL_H_
#define TFLM_KERNELS_PORTABLE_OPS_MATMUL_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"
#include "tflm_kernels/portable/law/strided.h"

namespace quantmcu {

// So many products of 9 by 9 bits fit int32.
constexpr int32_t kMaxMatMulDepth = 1 << 15;

struct MatMulParams {
  Dims extents;
  Dims left_steps;
  Dims right_steps;
  int32_t depth;
  int32_t left_depth_step;
  int32_t right_depth_step;
  int32_t left_zero_point;
  int32_t right_zero_point;
  int32_t output_zero_point;
  int32_t num_biases;
  Clamp clamp;
  FixedPoint multiplier;
};

using MatMulFn = void(const MatMulParams& params, const uint8_t* left, const uint8_t* right,
                      const int32_t* bias, uint8_t* output);

namespace reference {
MatMulFn MatMul;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_MATMUL_H_
