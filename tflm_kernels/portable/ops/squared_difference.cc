#include "tflm_kernels/portable/ops/squared_difference.h"

namespace quantmcu {
namespace reference {
namespace {

constexpr int32_t kLeftShift = 7;

int32_t Rescaled(uint8_t value, int32_t zero_point, const FixedPoint& multiplier) {
  const int32_t x = static_cast<int8_t>(value) - zero_point;
  return Multiply(WrappingShiftLeft(x, kLeftShift), multiplier);
}

}  // namespace

void SquaredDifference(const BroadcastAddParams& params, const uint8_t* input0,
                       const uint8_t* input1, uint8_t* output) {
  ForEachOffset(
      params.extents, params.input0_steps, params.input1_steps,
      [&](int32_t offset0, int32_t offset1) {
        // Both terms are at most 255 * 2^7 / 2, so that the square fits int32.
        const int32_t difference =
            Rescaled(input0[offset0], params.input0_zero_point, params.multipliers.input0) -
            Rescaled(input1[offset1], params.input1_zero_point, params.multipliers.input1);
        const int32_t y = Requantized(difference * difference, params.multipliers.output,
                                      params.output_zero_point, params.clamp);
        *output++ = static_cast<uint8_t>(y);
      });
}

}  // namespace reference
}  // namespace quantmcu
