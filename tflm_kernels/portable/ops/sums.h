// portable/ops/sums.h - what add.cc and difference.cc share: two maps rescaled to one scale, and combined.
#ifndef TFLM_KERNELS_PORTABLE_OPS_SUMS_H_
#define TFLM_KERNELS_PORTABLE_OPS_SUMS_H_

#include <stdint.h>

#include "tflm_kernels/portable/ops/add.h"

namespace quantmcu {

// |x - zero_point| < 2^8, so that 28 bits are in use; a multiplier of at most 1/2 (law A4) leaves 27, the sum of two 28.
inline int32_t RescaledOperand(const uint8_t* run, int32_t channel, const FeatureMap& map,
                               const FixedPoint& multiplier) {
  constexpr int32_t kLeftShift = 20;
  const int32_t x = LoadValue(run, channel, map.bits) - map.zero_point;
  return Multiply(WrappingShiftLeft(x, kLeftShift), multiplier);
}

template <int32_t (*kCombine)(int32_t, int32_t)>
void CombineMaps(const AddParams& params, const uint8_t* input0, const uint8_t* input1,
                 uint8_t* output) {
  const FeatureMap& out = params.output;
  for (int32_t y = 0; y < out.height; ++y) {
    for (int32_t x = 0; x < out.width; ++x) {
      const uint8_t* run0 = input0 + PixelOffset(params.input0, y, x);
      const uint8_t* run1 = input1 + PixelOffset(params.input1, y, x);
      uint8_t* run = output + PixelOffset(out, y, x);
      for (int32_t c = 0; c < out.channels; ++c) {
        const int32_t combined =
            kCombine(RescaledOperand(run0, c, params.input0, params.multipliers.input0),
                     RescaledOperand(run1, c, params.input1, params.multipliers.input1));
        StoreValue(run, c, out.bits,
                   Requantized(combined, params.multipliers.output, out.zero_point, params.clamp));
      }
    }
  }
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_SUMS_H_
