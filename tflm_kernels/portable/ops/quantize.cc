#include "tflm_kernels/portable/ops/quantize.h"

#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace reference {
namespace {

// The nearest whole number, halves away from zero, of steps within [min, max]; min for NaN.
int32_t RoundedWithin(float steps, const Clamp& range) {
  if (!(steps > static_cast<float>(range.min))) return range.min;
  if (steps >= static_cast<float>(range.max)) return range.max;
  const auto whole = static_cast<int32_t>(steps);
  const float rest = steps - static_cast<float>(whole);
  return whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0);
}

}  // namespace

void Quantize(const QuantizeParams& params, const float* input, uint8_t* output) {
  const Clamp range = {QMin(8) - params.zero_point, QMax(8) - params.zero_point};
  for (int32_t i = 0; i < params.count; ++i) {
    const int32_t q = RoundedWithin(input[i] / params.scale, range) + params.zero_point;
    output[i] = static_cast<uint8_t>(q);
  }
}

void Dequantize(const QuantizeParams& params, const uint8_t* input, float* output) {
  for (int32_t i = 0; i < params.count; ++i) {
    const int32_t steps = static_cast<int8_t>(input[i]) - params.zero_point;
    output[i] = static_cast<float>(steps) * params.scale;
  }
}

void RequantizeBytes(const RequantizeBytesParams& params, const uint8_t* input, uint8_t* output) {
  for (int32_t i = 0; i < params.count; ++i) {
    const int32_t q =
        params.is_input_unsigned ? input[i] : static_cast<int32_t>(static_cast<int8_t>(input[i]));
    const int32_t y = Requantized(q - params.input_zero_point, params.multiplier,
                                  params.output_zero_point, params.clamp);
    output[i] = static_cast<uint8_t>(y);
  }
}

}  // namespace reference
}  // namespace quantmcu
