// portable/ops/depthwise_conv2d.h - depthwise 2-D convolution on packed 8/4/2-bit values, batch 1.
//
// As conv2d.h, but output channel o reads input channel o / depth_multiplier only.
// Layout   input [H,W,I]  filter [Kh,Kw,O], O = I * depth_multiplier
//          table [O]  output [Ho,Wo,O]; runs: format.md F2.
// Range    limits.h; FindBadChannel checks that the accumulator fits int32.
// Memory   no allocation; scratch >= DepthwiseConv2DScratchBytes(params) bytes on a multiple of 4;
//          input, output and scratch do not overlap. The reference needs no scratch and about
//          400 bytes of stack.
// Source   written from docs/arithmetic.md A3.
#ifndef TFLM_KERNELS_PORTABLE_OPS_DEPTHWISE_CONV2D_H_
#define TFLM_KERNELS_PORTABLE_OPS_DEPTHWISE_CONV2D_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct DepthwiseConv2DParams {
  FeatureMap input;
  FeatureMap output;
  Window window;
  Clamp clamp;
  int32_t weight_bits;
  int32_t depth_multiplier;
};

using DepthwiseConv2DFn = void(const DepthwiseConv2DParams& params, const uint8_t* input,
                               const uint8_t* filter, const ChannelTable& table, uint8_t* output,
                               uint8_t* scratch);
using DepthwiseConv2DScratchBytesFn = size_t(const DepthwiseConv2DParams& params);

namespace reference {
DepthwiseConv2DFn DepthwiseConv2D;
DepthwiseConv2DScratchBytesFn DepthwiseConv2DScratchBytes;
}  // namespace reference

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_DEPTHWISE_CONV2D_H_
