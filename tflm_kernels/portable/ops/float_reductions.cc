// A product that is added is rounded first, on cores that could do both at once too.
#ifdef __clang__
#pragma clang fp contract(off)
#else
#pragma GCC optimize("fp-contract=off")
#endif

#include "tflm_kernels/portable/ops/float_reductions.h"

#include "tflm_kernels/portable/ops/float_values.h"

namespace quantmcu {
namespace reference {

void FloatMean(const FloatMeanParams& params, const float* input, float* output) {
  ForEachOffset(params.kept, params.kept_steps, params.kept_steps, [&](int32_t first, int32_t) {
    float sum = 0.0f;
    ForEachOffset(params.reduced, params.reduced_steps, params.reduced_steps,
                  [&](int32_t offset, int32_t) { sum += input[first + offset]; });
    *output++ = sum / params.divisor;
  });
}

void FloatL2Normalization(const FloatRowsParams& params, const float* input, float* output) {
  constexpr float kLeast = 1e-6f;
  for (int32_t row = 0; row < params.rows; ++row) {
    float sum = 0.0f;
    for (int32_t i = 0; i < params.depth; ++i) sum += input[i] * input[i];
    float length;
    FloatSqrt({1}, &sum, &length);
    if (length < kLeast) length = kLeast;
    for (int32_t i = 0; i < params.depth; ++i) output[i] = input[i] / length;
    input += params.depth;
    output += params.depth;
  }
}

}  // namespace reference
}  // namespace quantmcu
