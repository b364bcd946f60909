#include "tflm_kernels/cortex_m/mve/scratch.h"

#include "tflm_kernels/cortex_m/mve/kernels.h"

namespace quantmcu {
namespace mve {

size_t Conv2DScratchBytes(const Conv2DParams& params) {
  if (!IsCovered(params)) return 0;
  const int32_t windows = NumWindows(params) * WindowBytes(params);
  return static_cast<size_t>(NumQuads(params) * QuadBytes(params) + windows + FlatBytes(params));
}

size_t DepthwiseConv2DScratchBytes(const DepthwiseConv2DParams& params) {
  if (HasFewPixels(params)) return 0;
  return static_cast<size_t>(NumTaps(params.window) * kLanes) + kWideVectors * sizeof(TableEntries);
}

size_t FullyConnectedScratchBytes(const FullyConnectedParams& params) {
  if (params.input.channels > kMaxRow || !NeedsExpansion(params)) return 0;
  return static_cast<size_t>(
      ExpandedBytes({1, params.input.channels, params.input.bits}, params.weight_bits));
}

}  // namespace mve
}  // namespace quantmcu
