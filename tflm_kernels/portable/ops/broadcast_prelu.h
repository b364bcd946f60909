// portable/ops/broadcast_prelu.h - leaky relu of an int8 tensor with slopes of their own, either of them broadcast.
//
// x = in - in_zero
// out = saturate(multiply(x, identity) + out_zero)                        if x >= 0
// out = saturate(multiply(x * (slope - slope_zero), negative) + out_zero) else     docs/arithmetic.md A25
// Layout   strided.h: steps of 0 broadcast an input; the output is dense.
// Memory   no allocation, no scratch; the output overlaps neither input.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_BROADCAST_PRELU_H_
#define TFLM_KERNELS_PORTABLE_OPS_BROADCAST_PRELU_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"
#include "tflm_kernels/portable/law/strided.h"

namespace quantmcu {

struct BroadcastPreluParams {
  Dims extents;
  Dims input_steps;
  Dims slope_steps;
  int32_t input_zero_point;
  int32_t slope_zero_point;
  int32_t output_zero_point;
  FixedPoint identity;
  FixedPoint negative;
};

using BroadcastPreluFn = void(const BroadcastPreluParams& params, const uint8_t* input,
                              const uint8_t* slopes, uint8_t* output);

namespace reference {
BroadcastPreluFn BroadcastPrelu;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_BROADCAST_PRELU_H_
