// cortex_m/plain/scratch.h - what the scratch of the plain kernels depends on; compiled for the host too.
#ifndef TFLM_KERNELS_CORTEX_M_PLAIN_SCRATCH_H_
#define TFLM_KERNELS_CORTEX_M_PLAIN_SCRATCH_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/packed.h"
#include "tflm_kernels/portable/ops/conv2d.h"

namespace quantmcu {
namespace plain {

inline int32_t FilterBytes(const Conv2DParams& params) {
  return params.window.kernel_height * params.window.kernel_width *
         RunBytes(params.input.channels, params.weight_bits);
}

inline bool HasOnePixel(const FeatureMap& map) { return map.height * map.width == 1; }

}  // namespace plain
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_PLAIN_SCRATCH_H_
