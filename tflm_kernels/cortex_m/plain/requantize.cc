// Requantize without DSP.
//
// What is gained: the factor inline (fixed_point.h); where the format stays and nothing is clamped, rows are copied;
// rows of bytes are one run.
#include "tflm_kernels/portable/ops/requantize.h"

#include <string.h>

#include "tflm_kernels/cortex_m/plain/fixed_point.h"
#include "tflm_kernels/cortex_m/plain/kernels.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace plain {
namespace {

bool IsCopy(const RequantizeParams& params) {
  return params.multiplier.multiplier == 1 << 30 && params.multiplier.shift == 1 &&
         params.input.bits == params.output.bits &&
         params.input.zero_point == params.output.zero_point &&
         params.clamp.min == QMin(params.output.bits) &&
         params.clamp.max == QMax(params.output.bits);
}

void FillZeroPoints(const FeatureMap& out, int32_t num_pixels, uint8_t* pixels) {
  for (int32_t x = 0; x < num_pixels; ++x, pixels += PixelBytes(out)) {
    for (int32_t c = 0; c < out.channels; ++c) StoreValue(pixels, c, out.bits, out.zero_point);
  }
}

void RescaleRun(const RequantizeParams& params, int32_t count, const uint8_t* x, uint8_t* y) {
  const FixedPoint factor = params.multiplier;
  const Clamp clamp = params.clamp;
  const int32_t in_zero = params.input.zero_point;
  const int32_t out_zero = params.output.zero_point;
  const int32_t in_bits = params.input.bits;
  const int32_t out_bits = params.output.bits;
  if (in_bits == 8 && out_bits == 8) {
    for (; count > 0; --count) {
      const int32_t value = static_cast<int8_t>(*x++) - in_zero;
      *y++ = static_cast<uint8_t>(Rescaled(value, factor, out_zero, clamp));
    }
    return;
  }
  for (int32_t c = 0; c < count; ++c) {
    const int32_t value = LoadValue(x, c, in_bits) - in_zero;
    StoreValue(y, c, out_bits, Rescaled(value, factor, out_zero, clamp));
  }
}

// A row's pixels inside the input.
void InsideRow(const RequantizeParams& params, int32_t num_pixels, const uint8_t* input,
               uint8_t* output) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  if (IsCopy(params)) {
    memmove(output, input, static_cast<size_t>(num_pixels * PixelBytes(in)));  // maybe in place
    return;
  }
  if (in.channels * in.bits % 8 == 0 && in.channels * out.bits % 8 == 0) {
    return RescaleRun(params, num_pixels * in.channels, input, output);
  }
  for (int32_t x = 0; x < num_pixels; ++x) {
    RescaleRun(params, in.channels, input, output);
    input += PixelBytes(in);
    output += PixelBytes(out);
  }
}

int32_t Clipped(int32_t value, int32_t max) {
  if (value < 0) return 0;
  return value < max ? value : max;
}

}  // namespace

void Requantize(const RequantizeParams& params, const uint8_t* input, uint8_t* output) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  const int32_t left = Clipped(params.pad_left, out.width);
  const int32_t end = Clipped(in.width + params.pad_left, out.width);
  const int32_t right = end < left ? left : end;
  for (int32_t oy = 0; oy < out.height; ++oy) {
    const int32_t iy = oy - params.pad_top;
    uint8_t* row = output + PixelOffset(out, oy, 0);
    if (iy < 0 || iy >= in.height || left == right) {
      FillZeroPoints(out, out.width, row);
      continue;
    }
    const uint8_t* in_row = input + PixelOffset(in, iy, left - params.pad_left);
    FillZeroPoints(out, left, row);
    InsideRow(params, right - left, in_row, row + PixelOffset(out, 0, left));
    FillZeroPoints(out, out.width - right, row + PixelOffset(out, 0, right));
  }
}

}  // namespace plain
}  // namespace quantmcu
