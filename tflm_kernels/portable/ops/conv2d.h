// portable/ops/conv2d.h - 2-D convolution on packed 8/4/2-bit values, batch 1.
//
// acc[y,x,o] = bias[o] + sum((in - in_zero) * w) over the taps inside      docs/arithmetic.md A3
// out[y,x,o] = clamp(multiply(acc, multiplier[o], shift[o]) + out_zero)
// Layout   input [H,W,I]  filter [O,Kh,Kw,I]  table [O]  output [Ho,Wo,O];
//          runs: format.md F2.
// Range    limits.h; FindBadChannel checks that the accumulator fits int32.
// Memory   no allocation; scratch >= Conv2DScratchBytes(params) bytes on a multiple of 4;
//          input, output and scratch do not overlap. The reference needs no scratch.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_CONV2D_H_
#define TFLM_KERNELS_PORTABLE_OPS_CONV2D_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct Conv2DParams {
  FeatureMap input;
  FeatureMap output;
  Window window;
  Clamp clamp;
  int32_t weight_bits;
};

using Conv2DFn = void(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
                      const ChannelTable& table, uint8_t* output, uint8_t* scratch);
using Conv2DScratchBytesFn = size_t(const Conv2DParams& params);

namespace reference {
Conv2DFn Conv2D;
Conv2DScratchBytesFn Conv2DScratchBytes;
}  // namespace reference

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_CONV2D_H_
