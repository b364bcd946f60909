#include "tflm_kernels/portable/ops/hard_swish.h"

#include "tflm_kernels/portable/law/fixed_point.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace reference {
namespace {

constexpr int32_t kOneQ15 = 1 << 15;

int32_t SaturateToInt16(int64_t a) {
  if (a > INT16_MAX) return INT16_MAX;
  return a < INT16_MIN ? INT16_MIN : static_cast<int32_t>(a);
}

// round(a * b / 2^15), halves upwards, of 16-bit values.
int32_t RoundingMultiplyQ15(int32_t a, int32_t b) {
  const int32_t ab = a * b;
  return (ab + (ab >= 0 ? kOneQ15 / 2 : 1 - kOneQ15 / 2)) / kOneQ15;
}

// (x + 3) / 6 in [0, 1], Q15: x / 3 saturates at -1 and 1 and is then moved and halved. The left
// shift stops one short of its end, so that what the multiplier takes is not cut off.
int32_t Gate(const HardSwishParams& params, int32_t x) {
  const int32_t shift = params.gate_shift;
  if (shift > 0) x = SaturateToInt16(int64_t{x} * (int64_t{1} << (shift - 1)));
  x = RoundingMultiplyQ15(x, params.gate_multiplier);
  if (shift > 0) x = SaturateToInt16(int64_t{x} * 2);
  if (shift < 0) x = RoundingDivideByPowerOfTwo(x, -shift);
  return (x + kOneQ15) >> 1;
}

}  // namespace

void HardSwish(const HardSwishParams& params, const uint8_t* input, uint8_t* output) {
  for (int32_t i = 0; i < params.count; ++i) {
    const int32_t x = (static_cast<int8_t>(input[i]) - params.input_zero_point) * 128;
    const int32_t scaled = RoundingMultiplyQ15(x, params.output_multiplier);
    const int32_t gated = Gate(params, x) * scaled / kOneQ15;
    const int32_t y =
        RoundingDivideByPowerOfTwo(gated, -params.output_shift) + params.output_zero_point;
    const int32_t limited = y < QMin(8) ? QMin(8) : y;
    output[i] = static_cast<uint8_t>(limited > QMax(8) ? QMax(8) : limited);
  }
}

}  // namespace reference
}  // namespace quantmcu
