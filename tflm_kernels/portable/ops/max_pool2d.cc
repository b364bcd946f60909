#include "tflm_kernels/portable/ops/max_pool2d.h"

namespace quantmcu {
namespace reference {
namespace {

int32_t LargestOfTaps(const Pool2DParams& params, const uint8_t* input, int32_t oy, int32_t ox,
                      int32_t channel) {
  int32_t largest = INT32_MIN;
  ForEachTapInside(params.input, params.window, oy, ox, [&](int32_t pixel_offset, int32_t) {
    const int32_t value = LoadValue(input + pixel_offset, channel, params.input.bits);
    if (value > largest) largest = value;
  });
  return largest;
}

}  // namespace

void MaxPool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output) {
  const FeatureMap& out = params.output;
  for (int32_t oy = 0; oy < out.height; ++oy) {
    for (int32_t ox = 0; ox < out.width; ++ox) {
      uint8_t* run = output + PixelOffset(out, oy, ox);
      for (int32_t c = 0; c < out.channels; ++c) {
        const int32_t largest = LargestOfTaps(params, input, oy, ox, c);
        StoreValue(run, c, out.bits,
                   Requantized(largest - params.input.zero_point, params.multiplier, out.zero_point,
                               params.clamp));
      }
    }
  }
}

}  // namespace reference
}  // namespace quantmcu
