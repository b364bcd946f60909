// portable/ops/average_pool2d.h - average pool on packed 8/4/2-bit values, batch 1.
//
// avg = round(sum(in) / n), halves away from zero, over the n taps inside  docs/arithmetic.md A5
// out = clamp(multiply(avg - in_zero, multiplier) + out_zero)
// Layout   input [H,W,C]  output [Ho,Wo,C]; runs: format.md F2.
// Range    pool2d_params.h.
// Memory   no allocation, no scratch; input and output do not overlap.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_AVERAGE_POOL2D_H_
#define TFLM_KERNELS_PORTABLE_OPS_AVERAGE_POOL2D_H_

#include <stdint.h>

#include "tflm_kernels/portable/ops/pool2d_params.h"

namespace quantmcu {

namespace reference {
Pool2DFn AveragePool2D;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_AVERAGE_POOL2D_H_
