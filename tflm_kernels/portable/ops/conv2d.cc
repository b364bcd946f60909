#include "tflm_kernels/portable/ops/conv2d.h"

#include "tflm_kernels/portable/law/dot.h"

namespace quantmcu {
namespace reference {
namespace {

// The sum of products of output pixel (oy, ox) with one output channel's filter. FindBadChannel refuses tables with which
// it, or it and the bias, would not fit int32; what wraps is only what nobody checked.
int32_t SumOfTaps(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
                  int32_t oy, int32_t ox) {
  const FeatureMap& in = params.input;
  const int32_t tap_bytes = RunBytes(in.channels, params.weight_bits);
  int32_t sum = 0;
  ForEachTapInside(in, params.window, oy, ox, [&](int32_t pixel_offset, int32_t tap) {
    sum = WrappingAdd(sum, Dot(input + pixel_offset, in.bits, in.zero_point,
                               filter + tap * tap_bytes, params.weight_bits, in.channels));
  });
  return sum;
}

}  // namespace

size_t Conv2DScratchBytes(const Conv2DParams&) { return 0; }

void Conv2D(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
            const ChannelTable& table, uint8_t* output, uint8_t* /*scratch*/) {
  const FeatureMap& out = params.output;
  const int32_t filter_bytes = params.window.kernel_height * params.window.kernel_width *
                               RunBytes(params.input.channels, params.weight_bits);
  for (int32_t oy = 0; oy < out.height; ++oy) {
    for (int32_t ox = 0; ox < out.width; ++ox) {
      uint8_t* run = output + PixelOffset(out, oy, ox);
      for (int32_t o = 0; o < out.channels; ++o) {
        const int32_t sum = SumOfTaps(params, input, filter + o * filter_bytes, oy, ox);
        StoreValue(run, o, out.bits,
                   Requantized(WrappingAdd(table.bias[o], sum), FactorOf(table, o), out.zero_point,
                               params.clamp));
      }
    }
  }
}

}  // namespace reference
}  // namespace quantmcu
