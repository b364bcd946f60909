// cortex_m/dsp/one_pixel.h - all output channels of one pixel whose inputs are widened (widen.h, words one behind
// the other): fully connected, and what is left of a convolution's blocks.
//
// What is gained: sums of many channels are made first and stored four at a time.
// Source   written from docs/arithmetic.md A3.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_ONE_PIXEL_H_
#define TFLM_KERNELS_CORTEX_M_DSP_ONE_PIXEL_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/operands.h"
#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {
namespace dsp {

// column_sum: of the values of the column. kWBits: 8, 4 or 2; one function for all that call it.
template <int kWBits>
void OnePixel(const FeatureMap& output, const Clamp& clamp, int32_t filter_bytes,
              const Operands& operands, int32_t column_sum, uint8_t* run);

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_ONE_PIXEL_H_
