// Lut for MVE: rows of bytes are one run, of which sixteen values are looked up at once, or eight where each channel
// has a table. Other widths are the reference's.
#include "tflm_kernels/portable/ops/lut.h"

#include <arm_mve.h>

#include "tflm_kernels/cortex_m/mve/kernels.h"
#include "tflm_kernels/portable/law/byte_rows.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace mve {
namespace {

constexpr uint8_t kLowest = 0x80;  // the byte of the first entry

void LookUp(const uint8_t* table, int32_t count, const uint8_t* x, uint8_t* y) {
  for (; count > 0; count -= 16, x += 16, y += 16) {
    const mve_pred16_t lanes = vctp8q(static_cast<uint32_t>(count));
    const uint8x16_t places = veorq_u8(vldrbq_z_u8(x, lanes), vdupq_n_u8(kLowest));
    vstrbq_p_u8(y, vldrbq_gather_offset_z_u8(table, places, lanes), lanes);
  }
}

// One pixel, of which each channel has a table.
void LookUpChannels(const uint8_t* tables, int32_t channels, const uint8_t* x, uint8_t* y) {
  const uint16x8_t offsets = vshlq_n_u16(vidupq_n_u16(0, 1), 8);
  for (; channels > 0; channels -= 8, x += 8, y += 8, tables += 8 * NumLutEntries(8)) {
    const mve_pred16_t lanes = vctp16q(static_cast<uint32_t>(channels));
    const uint16x8_t places = veorq_u16(vldrbq_z_u16(x, lanes), vdupq_n_u16(kLowest));
    const uint16x8_t found = vldrbq_gather_offset_z_u16(tables, vaddq_u16(places, offsets), lanes);
    vstrbq_p_u16(y, found, lanes);
  }
}

}  // namespace

void Lut(const LutParams& params, const uint8_t* input, const uint8_t* table, uint8_t* output) {
  if (params.input.bits != 8 || params.output.bits != 8) {
    return reference::Lut(params, input, table, output);
  }
  const int32_t channels = params.input.channels;
  const auto run = [&](int32_t num_pixels, const uint8_t* x, uint8_t* y) {
    if (params.channel_step == 0) return LookUp(table, num_pixels * channels, x, y);
    for (; num_pixels > 0; --num_pixels, x += channels, y += channels) {
      LookUpChannels(table, channels, x, y);
    }
  };
  ForEachByteRow(params.input, params.output, params.pad_top, params.pad_left, input, output, run);
}

}  // namespace mve
}  // namespace quantmcu
