#include "tflm_kernels/portable/requantize.h"

namespace quantmcu {
namespace reference {

void Requantize(const RequantizeParams& params, const uint8_t* input, uint8_t* output) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  for (int32_t oy = 0; oy < out.height; ++oy) {
    for (int32_t ox = 0; ox < out.width; ++ox) {
      const int32_t iy = oy - params.pad_top;
      const int32_t ix = ox - params.pad_left;
      const bool is_inside = 0 <= iy && iy < in.height && 0 <= ix && ix < in.width;
      uint8_t* run = output + PixelOffset(out, oy, ox);
      for (int32_t c = 0; c < out.channels; ++c) {
        int32_t y = out.zero_point;
        if (is_inside) {
          const int32_t x = LoadValue(input + PixelOffset(in, iy, ix), c, in.bits);
          y = Requantized(x - in.zero_point, params.multiplier, out.zero_point, params.clamp);
        }
        StoreValue(run, c, out.bits, y);
      }
    }
  }
}

}  // namespace reference
}  // namespace quantmcu
