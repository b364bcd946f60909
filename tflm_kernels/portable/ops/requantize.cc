#include "tflm_kernels/portable/ops/requantize.h"

#include "tflm_kernels/portable/law/convert_values.h"

namespace quantmcu {
namespace reference {

void Requantize(const RequantizeParams& params, const uint8_t* input, uint8_t* output) {
  ConvertValues(params.input, params.output, params.pad_top, params.pad_left, input, output,
                [&params](int32_t x, int32_t) {
                  return Requantized(x - params.input.zero_point, params.multiplier,
                                     params.output.zero_point, params.clamp);
                });
}

}  // namespace reference
}  // namespace quantmcu
