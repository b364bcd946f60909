// Requantize with the DSP extension.
//
// What is gained: four values in one go with the factor inline (fixed_point.h); where the format
// stays and nothing is clamped, rows are copied. Rows without padding bits are one run.
#include "tflm_kernels/portable/ops/requantize.h"

#include "tflm_kernels/cortex_m/dsp/fixed_point.h"
#include "tflm_kernels/cortex_m/dsp/four_values.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace dsp {
namespace {

struct Operands {
  AnyFactor factor;
  int32_t input_zero_point;
  int32_t output_zero_point;
  ClampBytes clamp;
};

inline int32_t Rescaled(uint32_t value, const Operands& op) {
  return MultiplyAdd(static_cast<int8_t>(value) - op.input_zero_point, op.factor,
                     op.output_zero_point);
}

inline uint32_t RescaledFour(uint32_t values, const Operands& op) {
  return ClampedBytes(Rescaled(values, op), Rescaled(values >> 8, op), Rescaled(values >> 16, op),
                      Rescaled(values >> 24, op), op.clamp);
}

void RescaleRun(const Operands& operands, int32_t in_bits, int32_t out_bits, int32_t count,
                const uint8_t* in_run, uint8_t* out_run) {
  const Operands op = operands;  // a copy, which no store can change
  for (; count >= 4; count -= 4) {
    StoreFour(out_run, out_bits, RescaledFour(LoadFour(in_run, in_bits), op));
    in_run += FourValuesBytes(in_bits);
    out_run += FourValuesBytes(out_bits);
  }
  if (count > 0) {
    StoreLast(out_run, out_bits, count, RescaledFour(LoadLast(in_run, in_bits, count), op));
  }
}

bool IsCopy(const RequantizeParams& params) {
  return params.multiplier.multiplier == 1 << 30 && params.multiplier.shift == 1 &&
         params.input.bits == params.output.bits &&
         params.input.zero_point == params.output.zero_point &&
         params.clamp.min == QMin(params.output.bits) &&
         params.clamp.max == QMax(params.output.bits);
}

void FillZeroPoints(const FeatureMap& out, int32_t num_pixels, uint8_t* pixels) {
  const uint32_t values = Repeated(out.zero_point);
  for (int32_t x = 0; x < num_pixels; ++x, pixels += PixelBytes(out)) {
    uint8_t* run = pixels;
    int32_t count = out.channels;
    for (; count >= 4; count -= 4, run += FourValuesBytes(out.bits)) {
      StoreFour(run, out.bits, values);
    }
    if (count > 0) StoreLast(run, out.bits, count, values);
  }
}

// A row's pixels inside the input.
void InsideRow(const RequantizeParams& params, const Operands& op, int32_t num_pixels,
               const uint8_t* input, uint8_t* output) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  if (IsCopy(params)) {
    memmove(output, input, static_cast<size_t>(num_pixels * PixelBytes(in)));  // maybe in place
    return;
  }
  if (in.channels * in.bits % 8 == 0 && in.channels * out.bits % 8 == 0) {
    RescaleRun(op, in.bits, out.bits, num_pixels * in.channels, input, output);
    return;
  }
  for (int32_t x = 0; x < num_pixels; ++x) {
    RescaleRun(op, in.bits, out.bits, in.channels, input, output);
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
  const Operands op = {MakeAnyFactor(params.multiplier), in.zero_point, out.zero_point,
                       MakeClampBytes(params.clamp)};
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
    InsideRow(params, op, right - left, in_row, row + PixelOffset(out, 0, left));
    FillZeroPoints(out, out.width - right, row + PixelOffset(out, 0, right));
  }
}

}  // namespace dsp
}  // namespace quantmcu
