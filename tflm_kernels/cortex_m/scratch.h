// cortex_m/scratch.h - how much scratch the kernels of each variant take, and which calls, on any machine: a host
// plans for a core.
#ifndef TFLM_KERNELS_CORTEX_M_SCRATCH_H_
#define TFLM_KERNELS_CORTEX_M_SCRATCH_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/is_fast.h"
#include "tflm_kernels/cortex_m/dsp/kernels.h"
#include "tflm_kernels/cortex_m/mve/kernels.h"
#include "tflm_kernels/cortex_m/plain/is_fast.h"
#include "tflm_kernels/cortex_m/plain/kernels.h"
#include "tflm_kernels/portable/ops/fully_connected.h"
#include "tflm_kernels/portable/ops/kernels.h"
#include "tflm_kernels/portable/stage/run.h"

namespace quantmcu {

struct ScratchFunctions {
  Conv2DScratchBytesFn* conv2d;
  DepthwiseConv2DScratchBytesFn* depthwise_conv2d;
  FullyConnectedScratchBytesFn* fully_connected;
};

constexpr int32_t kNumScratchVariants = 4;

// [variant]: 0 reference, 1 DSP, 2 MVE, 3 plain.
inline constexpr ScratchFunctions kScratchFunctions[kNumScratchVariants] = {
    {reference::Conv2DScratchBytes, reference::DepthwiseConv2DScratchBytes,
     reference::FullyConnectedScratchBytes},
    {dsp::Conv2DScratchBytes, dsp::DepthwiseConv2DScratchBytes, dsp::FullyConnectedScratchBytes},
    {mve::Conv2DScratchBytes, mve::DepthwiseConv2DScratchBytes, mve::FullyConnectedScratchBytes},
    {plain::Conv2DScratchBytes, plain::DepthwiseConv2DScratchBytes,
     plain::FullyConnectedScratchBytes},
};

inline size_t StageScratchBytes(const PatchStageParams& params, const ScratchFunctions& functions) {
  Kernels kernels = reference::kKernels;
  kernels.conv2d_scratch_bytes = functions.conv2d;
  kernels.depthwise_conv2d_scratch_bytes = functions.depthwise_conv2d;
  return PatchStageScratchBytes(params, kernels);
}

// Whether the kernel of a variant takes the call itself; the others take all.
template <typename Params>
inline bool IsFastOn(int32_t variant, const Params& params) {
  return variant == 1 ? dsp::IsFast(params) : variant != 3 || plain::IsFast(params);
}

// A table of factors [multiplier, shift][output channel] alone.
inline ChannelTable FactorTable(const int32_t* factors, int32_t channels) {
  return {factors - channels, factors, factors + channels};
}

// Whether a variant has <Op>Regular, and it takes the call.
template <typename Params>
inline bool IsRegularOn(int32_t variant, const Params& params, const int32_t* factors) {
  return variant == 1 && dsp::IsRegular(params, FactorTable(factors, params.output.channels));
}

// The same of DepthwiseConv2DWhole.
inline bool IsWholeOn(int32_t variant, const DepthwiseConv2DParams& params,
                      const int32_t* factors) {
  return variant == 1 && dsp::IsWhole(params, FactorTable(factors, params.output.channels));
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_SCRATCH_H_
