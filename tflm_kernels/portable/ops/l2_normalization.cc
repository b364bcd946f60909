#include "tflm_kernels/portable/ops/l2_normalization.h"

#include "tflm_kernels/portable/law/exponential.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace reference {
namespace {

constexpr int32_t kOutputBits = 7;  // behind the point

// 1 / sqrt(v) by five steps of Newton's, docs/arithmetic.md A32; 0 counts as 1.
FixedPoint ReciprocalRoot(int32_t v) {
  if (v <= 1) return {INT32_MAX, 0};
  int32_t shift = 11;
  for (; v >= 1 << 29; ++shift) v /= 4;
  for (; v < 1 << 27; --shift) v *= 4;
  const int32_t half = v >> 1;  // in Q3
  const int32_t half_half = RoundingDivideByPowerOfTwo(half, 1);
  int32_t x = 1 << 28;
  for (int step = 0; step < 5; ++step) {
    const int32_t square = RoundingDoublingHighMultiply(x, x);
    const int32_t cube = SaturatingShiftLeft(RoundingDoublingHighMultiply(square, x), 6);
    constexpr int32_t kOneAndAHalf = (1 << 28) + (1 << 27);
    const int32_t next = RoundingDoublingHighMultiply(kOneAndAHalf, x) -
                         RoundingDoublingHighMultiply(half_half, cube);
    x = SaturatingShiftLeft(next, 3);
  }
  constexpr int32_t kHalfRootOf2 = 1518500250;
  x = RoundingDoublingHighMultiply(x, kHalfRootOf2);
  if (shift < 0) return {WrappingShiftLeft(x, -shift), 0};
  return {x, -shift};
}

}  // namespace

void L2Normalization(const L2NormalizationParams& params, const uint8_t* input, uint8_t* output) {
  const Clamp int8 = {QMin(8), QMax(8)};
  for (int32_t row = 0; row < params.rows; ++row) {
    int32_t sum = 0;
    for (int32_t i = 0; i < params.depth; ++i) {
      const int32_t x = static_cast<int8_t>(input[i]) - params.input_zero_point;
      sum += x * x;
    }
    FixedPoint factor = ReciprocalRoot(sum);
    factor.shift += kOutputBits;
    for (int32_t i = 0; i < params.depth; ++i) {
      const int32_t x = static_cast<int8_t>(input[i]) - params.input_zero_point;
      output[i] = static_cast<uint8_t>(Requantized(x, factor, 0, int8));
    }
    input += params.depth;
    output += params.depth;
  }
}

}  // namespace reference
}  // namespace quantmcu
