#include "tflm_kernels/portable/ops/resize_nearest.h"

#include <string.h>

#include "tflm_kernels/portable/law/convert_values.h"

namespace quantmcu {
namespace reference {
namespace {

void ConvertPixel(const ResizeNearestParams& params, const uint8_t* source, uint8_t* target) {
  const FeatureMap& out = params.output;
  for (int32_t c = 0; c < out.channels; ++c) {
    const int32_t value = LoadValue(source, c, params.input.bits) - params.input.zero_point;
    StoreValue(target, c, out.bits,
               Requantized(value, params.multiplier, out.zero_point, params.clamp));
  }
}

// Each input pixel is converted once, and then copied to its neighbours.
void ResizeRow(const ResizeNearestParams& params, bool keeps_values, const uint8_t* source,
               uint8_t* target) {
  const int32_t source_bytes = PixelBytes(params.input);
  const int32_t target_bytes = PixelBytes(params.output);
  const auto num_bytes = static_cast<size_t>(target_bytes);
  int32_t repeated = params.left % params.factor_width;
  source += params.left / params.factor_width * source_bytes;
  for (int32_t x = 0; x < params.output.width; ++x) {
    if (x > 0 && repeated > 0) {
      memcpy(target, target - target_bytes, num_bytes);
    } else if (keeps_values) {
      memcpy(target, source, num_bytes);
    } else {
      ConvertPixel(params, source, target);
    }
    target += target_bytes;
    if (++repeated == params.factor_width) {
      repeated = 0;
      source += source_bytes;
    }
  }
}

}  // namespace

void ResizeNearest(const ResizeNearestParams& params, const uint8_t* input, uint8_t* output) {
  const bool keeps_values =
      KeepsValues(params.input, params.output, params.multiplier, params.clamp);
  const auto row_bytes = static_cast<size_t>(params.output.width * PixelBytes(params.output));
  for (int32_t y = 0; y < params.output.height; ++y) {
    uint8_t* target = output + y * params.output.row_bytes;
    const int32_t row = y + params.top;
    if (y > 0 && row % params.factor_height > 0) {
      memcpy(target, target - params.output.row_bytes, row_bytes);
    } else {
      ResizeRow(params, keeps_values, input + row / params.factor_height * params.input.row_bytes,
                target);
    }
  }
}

}  // namespace reference
}  // namespace quantmcu
