// portable/ops/squared_difference.h - elementwise square of the difference of two int8 tensors, either of them broadcast.
//
// d = multiply((in0 - zero0) * 2^7, multiplier0) - multiply((in1 - zero1) * 2^7, multiplier1)
// out = clamp(multiply(d * d, output_multiplier) + out_zero)               docs/arithmetic.md A31
// Layout   strided.h: steps of 0 broadcast an input; the output is dense.
// Range    multiplier0 and multiplier1 are factors of at most 1/2.
// Memory   no allocation, no scratch; the output overlaps neither input; the inputs may be the same.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_SQUARED_DIFFERENCE_H_
#define TFLM_KERNELS_PORTABLE_OPS_SQUARED_DIFFERENCE_H_

#include <stdint.h>

#include "tflm_kernels/portable/ops/broadcast_add.h"

namespace quantmcu {
namespace reference {
BroadcastAddFn SquaredDifference;
}
}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_SQUARED_DIFFERENCE_H_
