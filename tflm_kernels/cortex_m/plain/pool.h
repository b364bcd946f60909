// cortex_m/plain/pool.h - the loop over output pixels that average and max pool share: a channel at a time, over the
// part of the window that lies inside the input, whose taps are asked for once a pixel.
#ifndef TFLM_KERNELS_CORTEX_M_PLAIN_POOL_H_
#define TFLM_KERNELS_CORTEX_M_PLAIN_POOL_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/plain/fixed_point.h"
#include "tflm_kernels/portable/ops/pool2d_params.h"

namespace quantmcu {
namespace plain {

// What lies under a window.
struct PoolTaps {
  int32_t height;
  int32_t width;
  int32_t row_bytes;
  int32_t pixel_bytes;
  int32_t bits;
};

// Calls visit(value) for a channel of all taps; `first` has it in its bit first_bit and those above.
template <int kBits, typename Visit>
inline void ForEachTap(const uint8_t* first, int32_t first_bit, const PoolTaps& taps, Visit visit) {
  const int32_t step = taps.pixel_bytes;
  for (int32_t y = taps.height; y > 0; --y, first += taps.row_bytes) {
    const uint8_t* tap = first;
    for (int32_t x = taps.width; x > 0; --x, tap += step) {
      if constexpr (kBits == 8) {
        visit(static_cast<int8_t>(*tap));
      } else {
        visit(static_cast<int32_t>(uint32_t{*tap} << (32 - taps.bits - first_bit)) >>
              (32 - taps.bits));
      }
    }
  }
}

// Reduce::Of<kBits>(first, first_bit, taps): what remains of a channel of the taps, before A7.
template <typename Reduce>
void Pool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  const Window& window = params.window;
  const bool is_same = params.multiplier.multiplier == 1 << 30 && params.multiplier.shift == 1;
  PoolTaps taps = {0, 0, in.row_bytes, PixelBytes(in), in.bits};
  for (int32_t oy = 0; oy < out.height; ++oy) {
    const int32_t iy = oy * window.stride_height - window.pad_top;
    const int32_t top = iy > 0 ? iy : 0;
    const int32_t bottom = iy + window.kernel_height;
    taps.height = (bottom < in.height ? bottom : in.height) - top;
    for (int32_t ox = 0; ox < out.width; ++ox) {
      const int32_t ix = ox * window.stride_width - window.pad_left;
      const int32_t left = ix > 0 ? ix : 0;
      const int32_t right = ix + window.kernel_width;
      taps.width = (right < in.width ? right : in.width) - left;
      const uint8_t* first = input + PixelOffset(in, top, left);
      uint8_t* run = output + PixelOffset(out, oy, ox);
      const Reduce reduce(taps);
      for (int32_t c = 0; c < out.channels; ++c) {
        const int32_t bit = c * in.bits;
        const int32_t value = in.bits == 8 ? reduce.template Of<8>(first + c, 0, taps)
                                           : reduce.template Of<0>(first + bit / 8, bit % 8, taps);
        int32_t y = value - in.zero_point;
        if (!is_same) y = MultiplyBy(y, params.multiplier);
        y = WrappingAdd(y, out.zero_point);
        y = y < params.clamp.min ? params.clamp.min : y > params.clamp.max ? params.clamp.max : y;
        StoreValue(run, c, out.bits, y);
      }
    }
  }
}

}  // namespace plain
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_PLAIN_POOL_H_
