// portable/law/convert_values.h - walks a packed feature map value by value, with padding or cropping; and when values
// need no conversion.
//
// Layout   as the kernels that use it: requantize.h, lut.h.
// Source   written from docs/arithmetic.md A7.
#ifndef TFLM_KERNELS_PORTABLE_LAW_CONVERT_VALUES_H_
#define TFLM_KERNELS_PORTABLE_LAW_CONVERT_VALUES_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

// Whether a requantisation (A7) gives each value as it is.
inline bool KeepsValues(const FeatureMap& in, const FeatureMap& out, const FixedPoint& factor,
                        const Clamp& clamp) {
  return in.bits == out.bits && in.zero_point == out.zero_point && factor.multiplier == 1 << 30 &&
         factor.shift == 1 && clamp.min == -(1 << (out.bits - 1)) &&
         clamp.max == (1 << (out.bits - 1)) - 1;
}

// out[y,x] = convert(in[y - pad_top, x - pad_left], c) of channel c, the output's zero point outside the input.
template <typename Convert>
void ConvertValues(const FeatureMap& in, const FeatureMap& out, int32_t pad_top, int32_t pad_left,
                   const uint8_t* input, uint8_t* output, Convert convert) {
  for (int32_t oy = 0; oy < out.height; ++oy) {
    for (int32_t ox = 0; ox < out.width; ++ox) {
      const int32_t iy = oy - pad_top;
      const int32_t ix = ox - pad_left;
      const bool is_inside = 0 <= iy && iy < in.height && 0 <= ix && ix < in.width;
      const uint8_t* pixel = is_inside ? input + PixelOffset(in, iy, ix) : nullptr;
      uint8_t* run = output + PixelOffset(out, oy, ox);
      for (int32_t c = 0; c < out.channels; ++c) {
        const int32_t y = is_inside ? convert(LoadValue(pixel, c, in.bits), c) : out.zero_point;
        StoreValue(run, c, out.bits, y);
      }
    }
  }
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_LAW_CONVERT_VALUES_H_
