// portable/ops/hard_swish.h - x * min(max(x + 3, 0), 6) / 6 of int8 values, in 16-bit arithmetic.
//
// docs/arithmetic.md A16.
// Range    multipliers in [0, 32767]; gate_shift in [-15, 31], output_shift in [-15, 0].
// Memory   no allocation, no scratch; input and output may be the same.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_HARD_SWISH_H_
#define TFLM_KERNELS_PORTABLE_OPS_HARD_SWISH_H_

#include <stdint.h>

namespace quantmcu {

struct HardSwishParams {
  int32_t count;
  int32_t input_zero_point;
  int32_t output_zero_point;
  int32_t gate_multiplier;  // of the gate (x + 3) / 6; Q15
  int32_t gate_shift;
  int32_t output_multiplier;  // Q15
  int32_t output_shift;
};

using HardSwishFn = void(const HardSwishParams& params, const uint8_t* input, uint8_t* output);

namespace reference {
HardSwishFn HardSwish;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_HARD_SWISH_H_
