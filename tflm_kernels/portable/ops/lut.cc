#include "tflm_kernels/portable/ops/lut.h"

#include "tflm_kernels/portable/law/convert_values.h"

namespace quantmcu {
namespace reference {

void Lut(const LutParams& params, const uint8_t* input, const uint8_t* table, uint8_t* output) {
  const uint8_t* entry_of_zero = table + (1 << (params.input.bits - 1));
  const int32_t step = params.channel_step;
  ConvertValues(
      params.input, params.output, params.pad_top, params.pad_left, input, output,
      [=](int32_t x, int32_t c) { return static_cast<int8_t>(entry_of_zero[c * step + x]); });
}

}  // namespace reference
}  // namespace quantmcu
