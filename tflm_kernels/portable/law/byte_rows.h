// portable/law/byte_rows.h - walks a feature map of bytes row by row, with padding or cropping: pixels that lie inside
// the input as one run, zero points outside of it.
//
// Layout   as the kernels that use it: requantize.h, lut.h; both maps have 8 bits.
// Source   written from docs/arithmetic.md A7.
#ifndef TFLM_KERNELS_PORTABLE_LAW_BYTE_ROWS_H_
#define TFLM_KERNELS_PORTABLE_LAW_BYTE_ROWS_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {

// Calls run(num_pixels, from, to) for each row's pixels inside, from low addresses to high: the output may begin at the
// input or before it.
template <typename Run>
void ForEachByteRow(const FeatureMap& in, const FeatureMap& out, int32_t pad_top, int32_t pad_left,
                    const uint8_t* input, uint8_t* output, Run run) {
  const auto clipped = [&](int32_t x) { return x < 0 ? 0 : x < out.width ? x : out.width; };
  const int32_t left = clipped(pad_left);
  const int32_t end = clipped(in.width + pad_left);
  const auto fill = [&](uint8_t* row, int32_t from, int32_t to) {
    memset(row + from * out.channels, out.zero_point,
           static_cast<size_t>((to - from) * out.channels));
  };
  for (int32_t oy = 0; oy < out.height; ++oy, output += out.row_bytes) {
    const int32_t iy = oy - pad_top;
    if (iy < 0 || iy >= in.height || end <= left) {
      fill(output, 0, out.width);
      continue;
    }
    fill(output, 0, left);
    run(end - left, input + PixelOffset(in, iy, left - pad_left), output + left * out.channels);
    fill(output, end, out.width);
  }
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_LAW_BYTE_ROWS_H_
