#include "tflm_kernels/portable/ops/logistic.h"

#include "tflm_kernels/portable/law/exponential.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace reference {
namespace {

constexpr int32_t kInputBits = 4;

// 1 / (1 + e^-x), Q4 to Q0.
int32_t LogisticOf(int32_t x) {
  if (x == 0) return 1 << 30;
  const int32_t of_magnitude = ReciprocalOfOnePlus(ExpOfNegative(x < 0 ? x : -x, kInputBits));
  return x < 0 ? kOneQ0 - of_magnitude : of_magnitude;
}

int32_t Quantized(const LogisticParams& params, int32_t difference) {
  if (difference <= -params.radius) return QMin(8);
  if (difference >= params.radius) return QMax(8);
  const int32_t real = LogisticOf(Multiply(difference, params.multiplier));
  const int32_t y = RoundingDivideByPowerOfTwo(real, 31 - 8) + QMin(8);
  return y > QMax(8) ? QMax(8) : y;
}

}  // namespace

void Logistic(const LogisticParams& params, const uint8_t* input, uint8_t* output) {
  for (int32_t i = 0; i < params.count; ++i) {
    const int32_t difference = static_cast<int8_t>(input[i]) - params.input_zero_point;
    output[i] = static_cast<uint8_t>(Quantized(params, difference));
  }
}

}  // namespace reference
}  // namespace quantmcu
