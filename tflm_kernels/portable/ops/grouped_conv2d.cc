#include "tflm_kernels/portable/ops/grouped_conv2d.h"

#include "tflm_kernels/portable/law/dot.h"

namespace quantmcu {
namespace reference {

void GroupedConv2D(const GroupedConv2DParams& params, const uint8_t* input, const uint8_t* filter,
                   const ChannelTable& table, uint8_t* output) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  const int32_t depth = in.channels / params.num_groups;
  const int32_t outputs = out.channels / params.num_groups;
  const int32_t tap_bytes = RunBytes(depth, params.weight_bits);
  const int32_t filter_bytes = params.window.kernel_height * params.window.kernel_width * tap_bytes;
  for (int32_t oy = 0; oy < out.height; ++oy) {
    for (int32_t ox = 0; ox < out.width; ++ox) {
      uint8_t* pixel = output + PixelOffset(out, oy, ox);
      for (int32_t o = 0; o < out.channels; ++o) {
        const uint8_t* group = input + o / outputs * depth;
        int32_t sum = table.bias[o];
        ForEachTapInside(in, params.window, oy, ox, [&](int32_t pixel_offset, int32_t tap) {
          sum = WrappingAdd(
              sum, Dot(group + pixel_offset, 8, in.zero_point,
                       filter + o * filter_bytes + tap * tap_bytes, params.weight_bits, depth));
        });
        pixel[o] = static_cast<uint8_t>(
            Requantized(sum, FactorOf(table, o), out.zero_point, params.clamp));
      }
    }
  }
}

}  // namespace reference
}  // namespace quantmcu
