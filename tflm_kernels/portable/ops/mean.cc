// Small: a network runs it once, on a small map.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/portable/ops/mean.h"

#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace reference {

void Mean(const MeanParams& params, const uint8_t* input, uint8_t* output) {
  const auto* values = reinterpret_cast<const int8_t*>(input);
  const Clamp clamp = {QMin(8), QMax(8)};
  constexpr Dims kNone = {};
  ForEachOffset(params.kept, params.kept_steps, kNone, [&](int32_t first, int32_t) {
    int32_t sum = 0;
    ForEachOffset(params.reduced, params.reduced_steps, kNone, [&](int32_t offset, int32_t) {
      sum += values[first + offset] - params.input_zero_point;
    });
    const int32_t y = Requantized(sum, params.multiplier, params.output_zero_point, clamp);
    *output++ = static_cast<uint8_t>(y);
  });
}

}  // namespace reference
}  // namespace quantmcu
