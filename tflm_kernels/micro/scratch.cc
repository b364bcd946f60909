#include "tflm_kernels/micro/scratch.h"

#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/portable/stage/run.h"

namespace quantmcu {

size_t ScratchBytes(const Conv2DParams& params) { return kernels::Conv2DScratchBytes(params); }

size_t ScratchBytes(const DepthwiseConv2DParams& params) {
  return kernels::DepthwiseConv2DScratchBytes(params);
}

size_t ScratchBytes(const FullyConnectedParams& params) {
  return kernels::FullyConnectedScratchBytes(params);
}

size_t ScratchBytes(const PatchStageParams& params, const Kernels& kernels) {
  return PatchStageScratchBytes(params, kernels);
}

}  // namespace quantmcu
