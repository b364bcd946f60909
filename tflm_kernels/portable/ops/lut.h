// portable/ops/lut.h - a function of one value on a packed feature map, by table, with padding or cropping.
//
// out[y,x] = table[in[y - pad_top, x - pad_left] + 2^(in_bits - 1)], of channel c in the table behind
// c * channel_step bytes, and out_zero outside the input                  docs/arithmetic.md A18
// Layout   input [H,W,C]  output [Ho,Wo,C]; runs: format.md F2; table int8 [2^in_bits], one entry a
//          byte, of the lowest input value first; channel_step 0: one for all, 2^in_bits: one a channel.
// Range    limits.h; entries fit the output's bits; negative pads crop.
// Memory   no allocation, no scratch; input and output do not overlap; the table may stay in flash.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_LUT_H_
#define TFLM_KERNELS_PORTABLE_OPS_LUT_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {

struct LutParams {
  FeatureMap input;
  FeatureMap output;
  int32_t pad_top;
  int32_t pad_left;
  int32_t channel_step;
};

using LutFn = void(const LutParams& params, const uint8_t* input, const uint8_t* table,
                   uint8_t* output);

namespace reference {
LutFn Lut;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_LUT_H_
