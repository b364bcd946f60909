// Requantize for MVE, at all widths: sixteen values at a time, over whole rows where pixels have no
// unused bits, and no multiplication between equal formats.
#include "tflm_kernels/cortex_m/mve/channel_block.h"
#include "tflm_kernels/cortex_m/mve/kernels.h"

namespace quantmcu {
namespace mve {
namespace {

// `num_pixels` pixels of zero points.
void FillPixels(const FeatureMap& map, int32_t num_pixels, uint8_t* pixels) {
  const Runs runs = PixelRuns(num_pixels, map.channels, map.bits);
  const int8x16_t zero = vdupq_n_s8(static_cast<int8_t>(map.zero_point));
  for (int32_t r = 0; r < runs.count; ++r, pixels += RunBytes(runs.length, map.bits)) {
    for (int32_t i = 0; i < runs.length; i += kLanes) {
      StoreBlock(pixels + i * map.bits / 8, map.bits, zero, runs.length - i);
    }
  }
}

template <int kBits>
void RescalePixels(const RequantizeParams& params, const Rescale& rescale, int32_t num_pixels,
                   const uint8_t* input, uint8_t* output) {
  const int32_t out_bits = params.output.bits;
  const Runs runs =
      PixelRuns(num_pixels, params.input.channels, kBits < out_bits ? kBits : out_bits);
  for (int32_t r = 0; r < runs.count; ++r) {
    for (int32_t i = 0; i < runs.length; i += kLanes) {
      const int32_t count = runs.length - i;
      const int8x16_t values = LoadBlock<kBits>(input + i * kBits / 8, count);
      StoreBlock(output + i * out_bits / 8, out_bits, Rescaled(values, rescale), count);
    }
    input += RunBytes(runs.length, kBits);
    output += RunBytes(runs.length, out_bits);
  }
}

int32_t Between(int32_t value, int32_t min, int32_t max) {
  if (value < min) return min;
  return value > max ? max : value;
}

template <int kBits>
void Run(const RequantizeParams& params, const uint8_t* input, uint8_t* output) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  const Rescale rescale = MakeRescale(in, out, params.multiplier, params.clamp);
  const int32_t begin = Between(params.pad_left, 0, out.width);
  const int32_t end = Between(params.pad_left + in.width, begin, out.width);
  for (int32_t oy = 0; oy < out.height; ++oy, output += out.row_bytes) {
    const int32_t iy = oy - params.pad_top;
    if (iy < 0 || iy >= in.height) {
      FillPixels(out, out.width, output);
      continue;
    }
    const int32_t pixel_bytes = PixelBytes(out);
    FillPixels(out, begin, output);
    RescalePixels<kBits>(params, rescale, end - begin,
                         input + PixelOffset(in, iy, begin - params.pad_left),
                         output + begin * pixel_bytes);
    FillPixels(out, out.width - end, output + end * pixel_bytes);
  }
}

}  // namespace

void Requantize(const RequantizeParams& params, const uint8_t* input, uint8_t* output) {
  if (params.input.bits == 8) {
    Run<8>(params, input, output);
  } else if (params.input.bits == 4) {
    Run<4>(params, input, output);
  } else {
    Run<2>(params, input, output);
  }
}

}  // namespace mve
}  // namespace quantmcu
