#include "tflm_kernels/portable/ops/broadcast_prelu.h"

namespace quantmcu {
namespace reference {

void BroadcastPrelu(const BroadcastPreluParams& params, const uint8_t* input, const uint8_t* slopes,
                    uint8_t* output) {
  const Clamp all = {-128, 127};
  ForEachOffset(
      params.extents, params.input_steps, params.slope_steps,
      [&](int32_t input_offset, int32_t slope_offset) {
        const int32_t x = static_cast<int8_t>(input[input_offset]) - params.input_zero_point;
        const int32_t slope = static_cast<int8_t>(slopes[slope_offset]) - params.slope_zero_point;
        const int32_t y =
            x >= 0 ? Requantized(x, params.identity, params.output_zero_point, all)
                   : Requantized(x * slope, params.negative, params.output_zero_point, all);
        *output++ = static_cast<uint8_t>(y);
      });
}

}  // namespace reference
}  // namespace quantmcu
