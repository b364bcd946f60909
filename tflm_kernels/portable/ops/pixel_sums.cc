#include "tflm_kernels/portable/ops/pixel_sums.h"

#include "tflm_kernels/portable/law/dot.h"

namespace quantmcu {
namespace reference {

void SumPixels(const FeatureMap& input, const uint8_t* pixels, int32_t* sums) {
  for (int32_t y = 0; y < input.height; ++y) {
    for (int32_t x = 0; x < input.width; ++x) {
      const uint8_t* run = pixels + PixelOffset(input, y, x);
      for (int32_t c = 0; c < input.channels; ++c) sums[c] += LoadValue(run, c, input.bits);
    }
  }
}

void DotPixels(const DotPixelsParams& params, const uint8_t* pixels, const uint8_t* filter,
               int32_t* sums) {
  const FeatureMap& in = params.input;
  const int32_t tap_bytes = RunBytes(in.channels, params.weight_bits);
  const int32_t filter_bytes = params.map_height * params.map_width * tap_bytes;
  for (int32_t o = 0; o < params.num_outputs; ++o) {
    for (int32_t y = 0; y < in.height; ++y) {
      const uint8_t* taps = filter + o * filter_bytes +
                            ((params.row + y) * params.map_width + params.column) * tap_bytes;
      for (int32_t x = 0; x < in.width; ++x) {
        sums[o] = WrappingAdd(sums[o], Dot(pixels + PixelOffset(in, y, x), in.bits, in.zero_point,
                                           taps + x * tap_bytes, params.weight_bits, in.channels));
      }
    }
  }
}

}  // namespace reference
}  // namespace quantmcu
