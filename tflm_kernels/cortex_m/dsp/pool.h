// cortex_m/dsp/pool.h - the loop over output pixels that average and max pool share: four channels
// at a time, over the part of the window that lies inside the input.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_POOL_H_
#define TFLM_KERNELS_CORTEX_M_DSP_POOL_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/fixed_point.h"
#include "tflm_kernels/cortex_m/dsp/four_values.h"
#include "tflm_kernels/portable/ops/pool2d_params.h"

namespace quantmcu {
namespace dsp {

// Rows and columns of the input under a window, clipped to it.
struct PoolTaps {
  int32_t height;
  int32_t width;
  int32_t row_bytes;
  int32_t pixel_bytes;
  int32_t bits;
  int32_t num_values;  // 4, or fewer at the end of a run
};

// Calls visit(values) with four neighbouring channels of `count` taps of a row.
template <typename Visit>
inline void ForEachTap(const uint8_t* tap, int32_t count, const PoolTaps& taps, Visit visit) {
  const int32_t step = taps.pixel_bytes;
  if (taps.num_values == 4 && taps.bits == 8) {
    for (; count > 0; --count, tap += step) visit(LoadWord(tap));
  } else if (taps.num_values == 4) {
    const int32_t bits = taps.bits;
    for (; count > 0; --count, tap += step) visit(LoadFour(tap, bits));
  } else {
    for (; count > 0; --count, tap += step) visit(LoadLast(tap, taps.bits, taps.num_values));
  }
}

// reduce(first, taps): what remains of the four channels of the taps, before A7.
template <typename Reduce>
void Pool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output, Reduce reduce) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  const Window& window = params.window;
  const AnyFactor factor = MakeAnyFactor(params.multiplier);
  const ClampBytes clamp = MakeClampBytes(params.clamp);
  PoolTaps taps = {0, 0, in.row_bytes, PixelBytes(in), in.bits, 4};
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
      for (int32_t c = 0; c < out.channels; c += 4) {
        taps.num_values = out.channels - c < 4 ? out.channels - c : 4;
        const FourSums reduced = reduce(first, taps);
        int32_t y[] = {reduced.s0, reduced.s1, reduced.s2, reduced.s3};
        for (int32_t& value : y) {
          value = MultiplyAdd(value - in.zero_point, factor, out.zero_point);
        }
        const uint32_t values = ClampedBytes(y[0], y[1], y[2], y[3], clamp);
        if (taps.num_values == 4) {
          StoreFour(run, out.bits, values);
        } else {
          StoreLast(run, out.bits, taps.num_values, values);
        }
        first += FourValuesBytes(in.bits);
        run += FourValuesBytes(out.bits);
      }
    }
  }
}

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_POOL_H_
