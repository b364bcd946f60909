#include "tflm_kernels/portable/ops/average_pool2d.h"

namespace quantmcu {
namespace reference {
namespace {

int32_t AverageOfTaps(const Pool2DParams& params, const uint8_t* input, int32_t oy, int32_t ox,
                      int32_t channel) {
  int32_t sum = 0;  // of at most kMaxPoolTaps values of 8 bits
  int32_t num_taps = 0;
  ForEachTapInside(params.input, params.window, oy, ox, [&](int32_t pixel_offset, int32_t) {
    sum += LoadValue(input + pixel_offset, channel, params.input.bits);
    ++num_taps;
  });
  return RoundedMean(sum, num_taps);
}

}  // namespace

void AveragePool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output) {
  const FeatureMap& out = params.output;
  for (int32_t oy = 0; oy < out.height; ++oy) {
    for (int32_t ox = 0; ox < out.width; ++ox) {
      uint8_t* run = output + PixelOffset(out, oy, ox);
      for (int32_t c = 0; c < out.channels; ++c) {
        const int32_t average = AverageOfTaps(params, input, oy, ox, c);
        StoreValue(run, c, out.bits,
                   Requantized(average - params.input.zero_point, params.multiplier, out.zero_point,
                               params.clamp));
      }
    }
  }
}

}  // namespace reference
}  // namespace quantmcu
