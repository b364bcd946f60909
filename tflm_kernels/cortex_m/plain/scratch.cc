#include "tflm_kernels/cortex_m/plain/scratch.h"

#include "tflm_kernels/cortex_m/plain/kernels.h"

namespace quantmcu {
namespace plain {

size_t Conv2DScratchBytes(const Conv2DParams& params) {
  const int32_t slots = FilterBytes(params) * 8 / params.weight_bits;
  return static_cast<size_t>(slots) * (HasOnePixel(params.output) ? 2 : 4);
}

size_t FullyConnectedScratchBytes(const FullyConnectedParams& params) {
  return static_cast<size_t>(RunBytes(params.input.channels, params.weight_bits) * 8 /
                             params.weight_bits) *
         2;
}

}  // namespace plain
}  // namespace quantmcu
