// portable/ops/fully_connected.h - fully connected layer on packed 8/4/2-bit values, batch 1.
//
// acc[o] = bias[o] + sum((in[i] - in_zero) * w[o,i])                       docs/arithmetic.md A3
// out[o] = clamp(multiply(acc, multiplier[o], shift[o]) + out_zero)
// Layout   input [I]  filter [O,I]  table [O]  output [O]; a vector is a
//          map of one pixel, each output's weights are a run: format.md F2.
// Range    limits.h; FindBadChannel checks that the accumulator fits int32.
// Memory   no allocation; scratch >= FullyConnectedScratchBytes(params) bytes on a multiple of 4;
//          input, output and scratch do not overlap. The reference needs no scratch.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_FULLY_CONNECTED_H_
#define TFLM_KERNELS_PORTABLE_OPS_FULLY_CONNECTED_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct FullyConnectedParams {
  FeatureMap input;
  FeatureMap output;
  Clamp clamp;
  int32_t weight_bits;
};

using FullyConnectedFn = void(const FullyConnectedParams& params, const uint8_t* input,
                              const uint8_t* filter, const ChannelTable& table, uint8_t* output,
                              uint8_t* scratch);
using FullyConnectedScratchBytesFn = size_t(const FullyConnectedParams& params);

namespace reference {
FullyConnectedFn FullyConnected;
FullyConnectedScratchBytesFn FullyConnectedScratchBytes;
}  // namespace reference

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_FULLY_CONNECTED_H_
