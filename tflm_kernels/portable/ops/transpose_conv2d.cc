#include "tflm_kernels/portable/ops/transpose_conv2d.h"

#include "tflm_kernels/portable/law/dot.h"

namespace quantmcu {
namespace reference {
namespace {

// The sum of the products of output pixel (y, x) with one output channel's filter, without the bias.
int32_t SumOfTaps(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
                  int32_t y, int32_t x) {
  const FeatureMap& in = params.input;
  const Window& w = params.window;
  int32_t sum = 0;
  // The first tap of each axis that meets a pixel; the others are a stride apart.
  for (int32_t ky = (y + w.pad_top) % w.stride_height; ky < w.kernel_height;
       ky += w.stride_height) {
    const int32_t iy = (y + w.pad_top - ky) / w.stride_height;
    if (y + w.pad_top < ky || iy >= in.height) continue;
    for (int32_t kx = (x + w.pad_left) % w.stride_width; kx < w.kernel_width;
         kx += w.stride_width) {
      const int32_t ix = (x + w.pad_left - kx) / w.stride_width;
      if (x + w.pad_left < kx || ix >= in.width) continue;
      const uint8_t* weights = filter + (ky * w.kernel_width + kx) * in.channels;
      sum = WrappingAdd(
          sum, Dot(input + PixelOffset(in, iy, ix), 8, in.zero_point, weights, 8, in.channels));
    }
  }
  return sum;
}

}  // namespace

void TransposeConv2D(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
                     const ChannelTable& table, uint8_t* output) {
  const FeatureMap& out = params.output;
  const int32_t filter_bytes =
      params.window.kernel_height * params.window.kernel_width * params.input.channels;
  for (int32_t y = 0; y < out.height; ++y) {
    for (int32_t x = 0; x < out.width; ++x) {
      uint8_t* pixel = output + PixelOffset(out, y, x);
      for (int32_t o = 0; o < out.channels; ++o) {
        const int32_t sum = SumOfTaps(params, input, filter + o * filter_bytes, y, x);
        pixel[o] = static_cast<uint8_t>(Requantized(
            WrappingAdd(table.bias[o], sum), FactorOf(table, o), out.zero_point, params.clamp));
      }
    }
  }
}

}  // namespace reference
}  // namespace quantmcu
