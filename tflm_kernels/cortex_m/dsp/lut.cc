// Lut with the DSP extension.
//
// What is gained: rows of bytes are one run, which words are loaded and stored of. Other widths are the reference's.
#include "tflm_kernels/portable/ops/lut.h"

#include "tflm_kernels/cortex_m/dsp/kernels.h"
#include "tflm_kernels/cortex_m/dsp/simd.h"
#include "tflm_kernels/portable/law/byte_rows.h"

namespace quantmcu {
namespace dsp {
namespace {

constexpr uint32_t kLowest = 0x80;  // the byte of the first entry

void LookUp(const uint8_t* table, int32_t count, const uint8_t* x, uint8_t* y) {
  for (; count >= 4; count -= 4, x += 4, y += 4) {
    const uint32_t places = LoadWord(x) ^ 0x01010101u * kLowest;
    const uint32_t low = table[places & 0xFF] | table[places >> 8 & 0xFF] << 8;
    const uint32_t high = table[places >> 16 & 0xFF] | table[places >> 24] << 8;
    StoreWord(y, low | high << 16);
  }
  for (; count > 0; --count) *y++ = table[*x++ ^ kLowest];
}

}  // namespace

void Lut(const LutParams& params, const uint8_t* input, const uint8_t* table, uint8_t* output) {
  if (params.input.bits != 8 || params.output.bits != 8) {
    return reference::Lut(params, input, table, output);
  }
  const int32_t channels = params.input.channels;
  const int32_t step = params.channel_step;
  const auto run = [&](int32_t num_pixels, const uint8_t* x, uint8_t* y) {
    if (step == 0) return LookUp(table, num_pixels * channels, x, y);
    for (; num_pixels > 0; --num_pixels) {
      const uint8_t* entries = table;
      for (int32_t c = 0; c < channels; ++c, entries += step) *y++ = entries[*x++ ^ kLowest];
    }
  };
  ForEachByteRow(params.input, params.output, params.pad_top, params.pad_left, input, output, run);
}

}  // namespace dsp
}  // namespace quantmcu
