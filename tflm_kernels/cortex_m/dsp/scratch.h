// cortex_m/dsp/scratch.h - what the scratch of the DSP kernels depends on. No intrinsics: on the host it
// tells what a core will ask for.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_SCRATCH_H_
#define TFLM_KERNELS_CORTEX_M_DSP_SCRATCH_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/packed.h"
#include "tflm_kernels/portable/ops/conv2d.h"

namespace quantmcu {
namespace dsp {

// Groups that `filter_bytes` of weights begin; at any width they hold 64 / w_bits bytes a pixel.
constexpr int32_t NumGroups(int32_t filter_bytes) { return (filter_bytes + 3) / 4; }
constexpr int32_t GroupBytes(int32_t w_bits) { return 64 / w_bits; }

// Words of pixels side by side, of a convolution.
constexpr int kStride = 2;
constexpr int kShortStride = 4;  // where filters are short

constexpr int32_t kMaxShortFilterBytes = 64;

inline int32_t FilterBytes(const Conv2DParams& params) {
  return params.window.kernel_height * params.window.kernel_width *
         RunBytes(params.input.channels, params.weight_bits);
}

// Whether four pixels meet a channel at a time: their scratch is small, and the results of a channel share its
// factor.
inline bool IsShort(const Conv2DParams& params) {
  return params.weight_bits == 8 && FilterBytes(params) <= kMaxShortFilterBytes;
}

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_SCRATCH_H_
