#include "tflm_kernels/portable/ops/product.h"

namespace quantmcu {
namespace reference {

void Product(const ProductParams& params, const uint8_t* input0, const uint8_t* input1,
             uint8_t* output) {
  const FeatureMap& in0 = params.input0;
  const FeatureMap& in1 = params.input1;
  const FeatureMap& out = params.output;
  const bool is_gate = in1.height == 1 && in1.width == 1;
  for (int32_t y = 0; y < out.height; ++y) {
    for (int32_t x = 0; x < out.width; ++x) {
      const uint8_t* run0 = input0 + PixelOffset(in0, y, x);
      const uint8_t* run1 = is_gate ? input1 : input1 + PixelOffset(in1, y, x);
      uint8_t* run = output + PixelOffset(out, y, x);
      for (int32_t c = 0; c < out.channels; ++c) {
        const int32_t product = (LoadValue(run0, c, in0.bits) - in0.zero_point) *
                                (LoadValue(run1, c, in1.bits) - in1.zero_point);
        StoreValue(run, c, out.bits,
                   Requantized(product, params.multiplier, out.zero_point, params.clamp));
      }
    }
  }
}

}  // namespace reference
}  // namespace quantmcu
