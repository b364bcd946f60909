#include "tflm_kernels/portable/ops/depth_to_space.h"

#include <string.h>

#include "tflm_kernels/portable/law/convert_values.h"

namespace quantmcu {
namespace reference {
namespace {

// Channels [first, first + C) of an input pixel.
void ConvertPart(const DepthToSpaceParams& params, const uint8_t* source, int32_t first,
                 uint8_t* target) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  for (int32_t c = 0; c < out.channels; ++c) {
    const int32_t value = LoadValue(source, first + c, in.bits) - in.zero_point;
    StoreValue(target, c, out.bits,
               Requantized(value, params.multiplier, out.zero_point, params.clamp));
  }
}

}  // namespace

void DepthToSpace(const DepthToSpaceParams& params, const uint8_t* input, uint8_t* output) {
  const FeatureMap& out = params.output;
  const int32_t height = params.block_height;
  const int32_t width = params.block_width;
  const int32_t source_bytes = PixelBytes(params.input);
  const int32_t target_bytes = PixelBytes(out);
  const bool moves_bytes = out.channels * out.bits % 8 == 0 &&
                           KeepsValues(params.input, out, params.multiplier, params.clamp);
  for (int32_t y = 0; y < out.height; ++y) {
    const int32_t row = y + params.top;
    const uint8_t* source =
        input + row / height * params.input.row_bytes + params.left / width * source_bytes;
    uint8_t* target = output + y * out.row_bytes;
    int32_t column = params.left % width;
    for (int32_t x = 0; x < out.width; ++x) {
      const int32_t part = row % height * width + column;
      if (moves_bytes) {
        memcpy(target, source + part * target_bytes, static_cast<size_t>(target_bytes));
      } else {
        ConvertPart(params, source, part * out.channels, target);
      }
      target += target_bytes;
      if (++column == width) {
        column = 0;
        source += source_bytes;
      }
    }
  }
}

}  // namespace reference
}  // namespace quantmcu
