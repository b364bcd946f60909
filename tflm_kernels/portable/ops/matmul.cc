#include "tflm_kernels/portable/ops/matmul.h"

namespace quantmcu {
namespace reference {

void MatMul(const MatMulParams& params, const uint8_t* left, const uint8_t* right,
            const int32_t* bias, uint8_t* output) {
  const auto* left_values = reinterpret_cast<const int8_t*>(left);
  const auto* right_values = reinterpret_cast<const int8_t*>(right);
  int32_t next_bias = 0;
  ForEachOffset(params.extents, params.left_steps, params.right_steps,
                [&](int32_t left_offset, int32_t right_offset) {
                  const int8_t* a = left_values + left_offset;
                  const int8_t* b = right_values + right_offset;
                  int32_t sum = bias[next_bias];
                  for (int32_t k = 0; k < params.depth; ++k) {
                    sum = WrappingAdd(
                        sum, (*a - params.left_zero_point) * (*b - params.right_zero_point));
                    a += params.left_depth_step;
                    b += params.right_depth_step;
                  }
                  const int32_t y =
                      Requantized(sum, params.multiplier, params.output_zero_point, params.clamp);
                  *output++ = static_cast<uint8_t>(y);
                  next_bias = next_bias + 1 == params.num_biases ? 0 : next_bias + 1;
                });
}

}  // namespace reference
}  // namespace quantmcu
