#include "tflm_kernels/portable/ops/resize_bilinear.h"

#include "tflm_kernels/portable/law/convert_values.h"

namespace quantmcu {
namespace reference {
namespace {

// Four pixels and their weights, which add up to 2^20. A weight is below 2^22 and a value at most 2^7, and where a
// weight is above 2^20 both pixels of the axis are one: sums fit int32.
struct Mix {
  const uint8_t* pixels[4];
  int32_t weights[4];
};

Neighbours NeighboursOf(const ResizeAxis& axis, int32_t index) {
  Neighbours found = NeighboursAt(index * axis.step + axis.first, axis.size);
  found.lower -= axis.begin;
  found.upper -= axis.begin;
  return found;
}

Mix MixOf(const FeatureMap& in, const uint8_t* input, const Neighbours& row,
          const Neighbours& column) {
  const int32_t rows[] = {kOnePixel1024 - row.share, row.share};
  const int32_t columns[] = {kOnePixel1024 - column.share, column.share};
  return {{input + PixelOffset(in, row.lower, column.lower),
           input + PixelOffset(in, row.lower, column.upper),
           input + PixelOffset(in, row.upper, column.lower),
           input + PixelOffset(in, row.upper, column.upper)},
          {rows[0] * columns[0], rows[0] * columns[1], rows[1] * columns[0], rows[1] * columns[1]}};
}

int32_t Rounded(int32_t sum) {
  constexpr int32_t kHalf = 1 << 19;
  return sum > 0 ? (sum + kHalf) >> 20 : -((kHalf - sum) >> 20);
}

void MixBytes(const Mix& mix, int32_t channels, uint8_t* output) {
  const int32_t w0 = mix.weights[0], w1 = mix.weights[1], w2 = mix.weights[2], w3 = mix.weights[3];
  const auto* p0 = reinterpret_cast<const int8_t*>(mix.pixels[0]);
  const auto* p1 = reinterpret_cast<const int8_t*>(mix.pixels[1]);
  const auto* p2 = reinterpret_cast<const int8_t*>(mix.pixels[2]);
  const auto* p3 = reinterpret_cast<const int8_t*>(mix.pixels[3]);
  for (int32_t c = 0; c < channels; ++c) {
    output[c] = static_cast<uint8_t>(Rounded(p0[c] * w0 + p1[c] * w1 + p2[c] * w2 + p3[c] * w3));
  }
}

void MixValues(const ResizeBilinearParams& params, const Mix& mix, uint8_t* output) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  for (int32_t c = 0; c < out.channels; ++c) {
    int32_t sum = 0;
    for (int32_t i = 0; i < 4; ++i) sum += LoadValue(mix.pixels[i], c, in.bits) * mix.weights[i];
    StoreValue(
        output, c, out.bits,
        Requantized(Rounded(sum) - in.zero_point, params.multiplier, out.zero_point, params.clamp));
  }
}

}  // namespace

void ResizeBilinear(const ResizeBilinearParams& params, const uint8_t* input, uint8_t* output) {
  const FeatureMap& out = params.output;
  const bool keeps_bytes =
      out.bits == 8 && KeepsValues(params.input, out, params.multiplier, params.clamp);
  for (int32_t y = 0; y < out.height; ++y) {
    const Neighbours row = NeighboursOf(params.rows, y);
    for (int32_t x = 0; x < out.width; ++x) {
      const Mix mix = MixOf(params.input, input, row, NeighboursOf(params.columns, x));
      uint8_t* pixel = output + PixelOffset(out, y, x);
      if (keeps_bytes) {
        MixBytes(mix, out.channels, pixel);
      } else {
        MixValues(params, mix, pixel);
      }
    }
  }
}

}  // namespace reference
}  // namespace quantmcu
