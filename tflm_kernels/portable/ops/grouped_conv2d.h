// portable/ops/grouped_conv2d.h - 2-D convolution of int8 values in groups of channels, batch 1.
//
// As conv2d.h, docs/arithmetic.md A3; the output channels of group g read the input channels of group g alone.
// Layout   input [H,W,G*I]  filter [G*O,Kh,Kw,I]  table [G*O]  output [Ho,Wo,G*O]; both maps have 8 bits.
// Range    as conv2d.h.
// Memory   no allocation, no scratch; input and output do not overlap.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_GROUPED_CONV2D_H_
#define TFLM_KERNELS_PORTABLE_OPS_GROUPED_CONV2D_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct GroupedConv2DParams {
  FeatureMap input;
  FeatureMap output;
  Window window;
  Clamp clamp;
  int32_t weight_bits;
  int32_t num_groups;
};

using GroupedConv2DFn = void(const GroupedConv2DParams& params, const uint8_t* input,
                             const uint8_t* filter, const ChannelTable& table, uint8_t* output);

namespace reference {
GroupedConv2DFn GroupedConv2D;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_GROUPED_CONV2D_H_
