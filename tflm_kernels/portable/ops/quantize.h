// portable/ops/quantize.h - between float32, uint8 and int8, the types at a model's ends.
//
// Quantize         int8 = saturate(round(x / scale) + zero_point)       docs/arithmetic.md A17
// Dequantize       float32 = (q - zero_point) * scale
// RequantizeBytes  8 bits = clamp(multiply(q - in_zero, multiplier) + out_zero); either side may be
//                  unsigned
// Memory   no allocation, no scratch; input and output do not overlap.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_QUANTIZE_H_
#define TFLM_KERNELS_PORTABLE_OPS_QUANTIZE_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct QuantizeParams {
  int32_t count;
  float scale;
  int32_t zero_point;
};

struct RequantizeBytesParams {
  int32_t count;
  int32_t is_input_unsigned;
  int32_t input_zero_point;
  int32_t output_zero_point;
  Clamp clamp;  // within the output's type
  FixedPoint multiplier;
};

using QuantizeFn = void(const QuantizeParams& params, const float* input, uint8_t* output);
using DequantizeFn = void(const QuantizeParams& params, const uint8_t* input, float* output);
using RequantizeBytesFn = void(const RequantizeBytesParams& params, const uint8_t* input,
                               uint8_t* output);

namespace reference {
QuantizeFn Quantize;
DequantizeFn Dequantize;
RequantizeBytesFn RequantizeBytes;
}  // namespace reference

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_QUANTIZE_H_
