#include "tflm_kernels/cortex_m/dsp/scratch.h"

#include "tflm_kernels/cortex_m/dsp/kernels.h"

namespace quantmcu {
namespace dsp {

size_t Conv2DScratchBytes(const Conv2DParams& params) {
  const bool is_one_pixel = params.output.height == 1 && params.output.width == 1;
  const int32_t stride = is_one_pixel ? 1 : IsShort(params) ? kShortStride : kStride;
  return static_cast<size_t>(NumGroups(FilterBytes(params))) *
         static_cast<size_t>(GroupBytes(params.weight_bits) * stride);
}

size_t DepthwiseConv2DScratchBytes(const DepthwiseConv2DParams& params) {
  return HasRows(params) ? sizeof(int32_t) * static_cast<size_t>(RowsPlanOf(params).Words()) : 0;
}

size_t FullyConnectedScratchBytes(const FullyConnectedParams& params) {
  const int32_t run_bytes = RunBytes(params.input.channels, params.weight_bits);
  return static_cast<size_t>(NumGroups(run_bytes)) *
         static_cast<size_t>(GroupBytes(params.weight_bits));
}

}  // namespace dsp
}  // namespace quantmcu
