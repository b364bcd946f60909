// portable/ops/transpose_conv2d.h - transposed 2-D convolution of int8 values, batch 1.
//
// acc[y,x,o] = bias[o] + sum of (in[i,j] - in_zero) * w[o,y+top-i*stride,x+left-j*stride] over the taps that there are
// out[y,x,o] = clamp(multiply(acc, multiplier[o], shift[o]) + out_zero)    docs/arithmetic.md A29, A3
// Layout   input [H,W,I]  filter [O,Kh,Kw,I]  table [O]  output [Ho,Wo,O]; all of 8 bits; the window's strides are those
//          of the output, its dilation 1.
// Range    as conv2d.h.
// Memory   no allocation, no scratch; input and output do not overlap.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_TRANSPOSE_CONV2D_H_
#define TFLM_KERNELS_PORTABLE_OPS_TRANSPOSE_CONV2D_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/ops/conv2d.h"

namespace quantmcu {

using TransposeConv2DFn = void(const Conv2DParams& params, const uint8_t* input,
                               const uint8_t* filter, const ChannelTable& table, uint8_t* output);

namespace reference {
TransposeConv2DFn TransposeConv2D;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_TRANSPOSE_CONV2D_H_
