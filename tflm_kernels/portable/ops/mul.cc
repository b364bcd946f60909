#include "tflm_kernels/portable/ops/mul.h"

namespace quantmcu {
namespace reference {

void Mul(const MulParams& params, const uint8_t* input0, const uint8_t* input1, uint8_t* output) {
  const auto* values0 = reinterpret_cast<const int8_t*>(input0);
  const auto* values1 = reinterpret_cast<const int8_t*>(input1);
  ForEachOffset(params.extents, params.input0_steps, params.input1_steps,
                [&](int32_t offset0, int32_t offset1) {
                  // 9 by 9 bits: below 2^16.
                  const int32_t product = (values0[offset0] - params.input0_zero_point) *
                                          (values1[offset1] - params.input1_zero_point);
                  const int32_t y = Requantized(product, params.multiplier,
                                                params.output_zero_point, params.clamp);
                  *output++ = static_cast<uint8_t>(y);
                });
}

}  // namespace reference
}  // namespace quantmcu
