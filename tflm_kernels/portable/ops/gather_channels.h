// portable/ops/gather_channels.h - channels of several packed feature maps, put one behind the other.
//
// out[y,x,c] = clamp(multiply(in_j[y,x,i] - zero_j, multiplier_j) + out_zero)       docs/arithmetic.md A27
// The channels of all inputs are counted on from one input to the next; runs of them make those of the output.
// Layout   inputs [H,W,C_j]  output [H,W,C], C the sum of the runs' counts; runs: format.md F2.
// Range    limits.h; a run lies inside one input; 1 to kMaxGatherInputs inputs.
// Memory   no allocation, no scratch; inputs may be the same, the output overlaps none; runs may stay in flash.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_GATHER_CHANNELS_H_
#define TFLM_KERNELS_PORTABLE_OPS_GATHER_CHANNELS_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

constexpr int32_t kMaxGatherInputs = 8;

struct GatherInput {
  FeatureMap map;
  FixedPoint multiplier;
};

struct ChannelRun {
  int32_t first;
  int32_t count;
};

struct GatherChannelsParams {
  FeatureMap output;
  Clamp clamp;
  int32_t num_inputs;
  int32_t num_runs;
  GatherInput inputs[kMaxGatherInputs];
};

using GatherChannelsFn = void(const GatherChannelsParams& params, const uint8_t* const* inputs,
                              const ChannelRun* runs, uint8_t* output);

namespace reference {
GatherChannelsFn GatherChannels;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_GATHER_CHANNELS_H_
