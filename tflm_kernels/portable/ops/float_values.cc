#include "tflm_kernels/portable/ops/float_values.h"

#include <string.h>

namespace quantmcu {
namespace reference {
namespace {

constexpr int32_t kFractionBits = 23;
constexpr uint32_t kSign = uint32_t{1} << 31;
constexpr uint32_t kInfinity = 0x7F800000;
constexpr uint32_t kWholeExponent = 127 + 23;  // from it on floats have no fraction

uint32_t BitsOf(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

float OfBits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// The root of a positive number, rounded to the nearest: of its digits as an integer, one bit more than float has, which
// the rest rounds.
float PositiveRoot(uint32_t bits) {
  int32_t exponent = static_cast<int32_t>(bits >> kFractionBits);
  uint32_t digits = bits & ((uint32_t{1} << kFractionBits) - 1);
  if (exponent == 0) {  // below the smallest normal number
    exponent = 1;
    while (digits >> kFractionBits == 0) {
      digits <<= 1;
      --exponent;
    }
  } else {
    digits |= uint32_t{1} << kFractionBits;
  }
  // x = digits * 2^(exponent - 150): of an even power the root is one of integers.
  const int32_t power = exponent - 150;
  // 49 or 50 bits, so that the root has 25: 24 and the one that rounds.
  const int32_t shift = (power & 1) != 0 ? 25 : 26;
  uint64_t rest = uint64_t{digits} << shift;
  uint64_t root = 0;
  for (uint64_t bit = uint64_t{1} << 50; bit != 0; bit >>= 2) {
    if (rest >= root + bit) {
      rest -= root + bit;
      root = (root >> 1) + bit;
    } else {
      root >>= 1;
    }
  }
  // No root is half way between two floats: its square would have more digits.
  const uint32_t rounded = static_cast<uint32_t>((root + 1) >> 1);
  const int32_t root_exponent = (power - shift) / 2 + 151;
  return OfBits((static_cast<uint32_t>(root_exponent) << kFractionBits) +
                (rounded - (uint32_t{1} << kFractionBits)));
}

float Root(float x) {
  const uint32_t bits = BitsOf(x);
  if ((bits & ~kSign) == 0 || bits == kInfinity) return x;
  if ((bits & kSign) != 0 || bits > kInfinity) {
    const float zero = x - x;  // what the core makes of 0 / 0
    return zero / zero;
  }
  return PositiveRoot(bits);
}

// The largest whole number up to x, a zero with the sign of x.
float Floor(float x) {
  const uint32_t bits = BitsOf(x);
  if ((bits & kInfinity) >> kFractionBits >= kWholeExponent) return x;  // NaN too
  float whole = static_cast<float>(static_cast<int32_t>(x));
  if (whole > x) whole -= 1.0f;
  return whole == 0.0f ? OfBits(bits & kSign) : whole;
}

// Halves to the nearest even number.
float Round(float x) {
  const float whole = Floor(x);
  const float rest = x - whole;
  const bool is_down = rest < 0.5f || (rest == 0.5f && (static_cast<int32_t>(whole) & 1) == 0);
  return is_down ? whole : whole + 1.0f;
}

template <typename Function>
void OfEach(const FloatValuesParams& params, const float* input, float* output, Function function) {
  for (int32_t i = 0; i < params.count; ++i) output[i] = function(input[i]);
}

template <typename Function>
void Combine(const FloatPairsParams& params, const float* input0, const float* input1,
             float* output, Function function) {
  OfPairs(params, input0, input1, output, [&](float a, float b) {
    const float y = function(a, b);
    const float least = y < params.min ? params.min : y;
    return params.max < least ? params.max : least;
  });
}

}  // namespace

void FloatAbs(const FloatValuesParams& params, const float* input, float* output) {
  OfEach(params, input, output, [](float x) { return OfBits(BitsOf(x) & ~kSign); });
}

void FloatCeil(const FloatValuesParams& params, const float* input, float* output) {
  OfEach(params, input, output, [](float x) { return -Floor(-x); });
}

void FloatFloor(const FloatValuesParams& params, const float* input, float* output) {
  OfEach(params, input, output, Floor);
}

void FloatHardSwish(const FloatValuesParams& params, const float* input, float* output) {
  OfEach(params, input, output, [](float x) {
    const float above = 0.0f < x + 3.0f ? x + 3.0f : 0.0f;
    return x * (above < 6.0f ? above : 6.0f) / 6.0f;
  });
}

void FloatRelu(const FloatValuesParams& params, const float* input, float* output) {
  OfEach(params, input, output, [](float x) { return x < 0.0f ? 0.0f : x; });
}

void FloatRelu6(const FloatValuesParams& params, const float* input, float* output) {
  OfEach(params, input, output, [](float x) { return x > 6.0f ? 6.0f : x < 0.0f ? 0.0f : x; });
}

void FloatRound(const FloatValuesParams& params, const float* input, float* output) {
  OfEach(params, input, output, Round);
}

void FloatLeakyRelu(const FloatSlopeParams& params, const float* input, float* output) {
  OfEach({params.count}, input, output, [&](float x) { return x > 0.0f ? x : x * params.slope; });
}

void FloatNeg(const FloatValuesParams& params, const float* input, float* output) {
  OfEach(params, input, output, [](float x) { return -x; });
}

void FloatRsqrt(const FloatValuesParams& params, const float* input, float* output) {
  OfEach(params, input, output, [](float x) { return 1.0f / Root(x); });
}

void FloatSqrt(const FloatValuesParams& params, const float* input, float* output) {
  OfEach(params, input, output, Root);
}

void FloatSquare(const FloatValuesParams& params, const float* input, float* output) {
  OfEach(params, input, output, [](float x) { return x * x; });
}

void FloatMaximum(const ComparisonParams& params, const float* input0, const float* input1,
                  float* output) {
  OfPairs(params, input0, input1, output, [](float a, float b) { return a > b ? a : b; });
}

void FloatMinimum(const ComparisonParams& params, const float* input0, const float* input1,
                  float* output) {
  OfPairs(params, input0, input1, output, [](float a, float b) { return a < b ? a : b; });
}

void FloatPrelu(const ComparisonParams& params, const float* input0, const float* input1,
                float* output) {
  OfPairs(params, input0, input1, output, [](float a, float b) { return a >= 0.0f ? a : a * b; });
}

void FloatSquaredDifference(const ComparisonParams& params, const float* input0,
                            const float* input1, float* output) {
  OfPairs(params, input0, input1, output, [](float a, float b) { return (a - b) * (a - b); });
}

void FloatAdd(const FloatPairsParams& params, const float* input0, const float* input1,
              float* output) {
  Combine(params, input0, input1, output, [](float a, float b) { return a + b; });
}

void FloatSub(const FloatPairsParams& params, const float* input0, const float* input1,
              float* output) {
  Combine(params, input0, input1, output, [](float a, float b) { return a - b; });
}

void FloatMul(const FloatPairsParams& params, const float* input0, const float* input1,
              float* output) {
  Combine(params, input0, input1, output, [](float a, float b) { return a * b; });
}

void FloatDiv(const FloatPairsParams& params, const float* input0, const float* input1,
              float* output) {
  Combine(params, input0, input1, output, [](float a, float b) { return a / b; });
}

}  // namespace reference
}  // namespace quantmcu
