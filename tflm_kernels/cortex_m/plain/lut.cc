// Lut without DSP.
//
// What is gained: rows of bytes are one run, so that nothing is found value by value. Other widths are the
// reference's.
#include "tflm_kernels/portable/ops/lut.h"

#include "tflm_kernels/cortex_m/plain/kernels.h"
#include "tflm_kernels/portable/law/byte_rows.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace plain {
namespace {

void LookUp(const uint8_t* entry_of_zero, int32_t count, const uint8_t* x, uint8_t* y) {
  const auto entry = [=](uint8_t value) { return entry_of_zero[static_cast<int8_t>(value)]; };
  for (; count >= 4; count -= 4, x += 4, y += 4) {
    y[0] = entry(x[0]);
    y[1] = entry(x[1]);
    y[2] = entry(x[2]);
    y[3] = entry(x[3]);
  }
  for (; count > 0; --count) *y++ = entry(*x++);
}

}  // namespace

void Lut(const LutParams& params, const uint8_t* input, const uint8_t* table, uint8_t* output) {
  if (params.input.bits != 8 || params.output.bits != 8) {
    return reference::Lut(params, input, table, output);
  }
  const uint8_t* entry_of_zero = table + NumLutEntries(8) / 2;
  const int32_t channels = params.input.channels;
  const int32_t step = params.channel_step;
  const auto run = [&](int32_t num_pixels, const uint8_t* x, uint8_t* y) {
    if (step == 0) return LookUp(entry_of_zero, num_pixels * channels, x, y);
    for (; num_pixels > 0; --num_pixels) {
      const uint8_t* entries = entry_of_zero;
      for (int32_t c = 0; c < channels; ++c, entries += step) {
        *y++ = entries[static_cast<int8_t>(*x++)];
      }
    }
  };
  ForEachByteRow(params.input, params.output, params.pad_top, params.pad_left, input, output, run);
}

}  // namespace plain
}  // namespace quantmcu
