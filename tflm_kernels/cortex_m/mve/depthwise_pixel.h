// cortex_m/mve/depthwise_pixel.h - a pixel of an 8-bit depthwise convolution, eight channels at a time, by filter and
// table where they stand: a map of a few pixels does not pay for a block's set-up (depthwise_block.h).
#ifndef TFLM_KERNELS_CORTEX_M_MVE_DEPTHWISE_PIXEL_H_
#define TFLM_KERNELS_CORTEX_M_MVE_DEPTHWISE_PIXEL_H_

#include <arm_mve.h>
#include <stdint.h>

#include "tflm_kernels/cortex_m/mve/depthwise_block.h"
#include "tflm_kernels/cortex_m/mve/scratch.h"
#include "tflm_kernels/cortex_m/mve/window.h"

namespace quantmcu {
namespace mve {

// Taps inside the input: where the first one's input and weights of channel 0 stand, and steps in bytes.
struct PixelTaps {
  const int8_t* input;
  const int8_t* weights;
  int32_t height;
  int32_t width;
  int32_t input_row_step;
  int32_t input_step;
  int32_t weights_row_step;
  int32_t weights_step;
};

// Of one axis, the taps from `first` on.
inline Range TapsInside(int32_t first, int32_t size, int32_t kernel, int32_t dilation) {
  Range taps = {0, kernel};
  for (; taps.begin < taps.end && first + taps.begin * dilation < 0; ++taps.begin) {
  }
  for (; taps.begin < taps.end && first + (taps.end - 1) * dilation >= size; --taps.end) {
  }
  return taps;
}

// (y, x) is the input position of the first tap.
inline PixelTaps TapsOf(const BlockwiseDepthwise& conv, int32_t y, int32_t x) {
  const FeatureMap& in = conv.params.input;
  const Window& w = conv.params.window;
  const Range rows = TapsInside(y, in.height, w.kernel_height, w.dilation_height);
  const Range columns = TapsInside(x, in.width, w.kernel_width, w.dilation_width);
  const int32_t row_step = w.dilation_height * in.row_bytes;
  const int32_t step = w.dilation_width * in.channels;
  const int32_t weights_row_step = w.kernel_width * in.channels;
  const int32_t from = y * in.row_bytes + x * in.channels + rows.begin * row_step;
  return {reinterpret_cast<const int8_t*>(conv.input) + from + columns.begin * step,
          reinterpret_cast<const int8_t*>(conv.filter) + rows.begin * weights_row_step +
              columns.begin * in.channels,
          rows.end - rows.begin,
          columns.end - columns.begin,
          row_step,
          step,
          weights_row_step,
          in.channels};
}

// Even and odd ones of eight channels.
struct EightSums {
  int32x4_t even;
  int32x4_t odd;
};

inline EightSums LoadEight(const int32_t* values, uint32x4_t evens) {
  return {vldrwq_gather_shifted_offset_s32(values, evens),
          vldrwq_gather_shifted_offset_s32(values + 1, evens)};
}

inline void AddTaps(const PixelTaps& taps, int32_t channel, int16_t zero_point, EightSums* sums) {
  const int8_t* input = taps.input + channel;
  const int8_t* weights = taps.weights + channel;
  for (int32_t ky = taps.height; ky > 0; --ky) {
    const int8_t* x = input;
    const int8_t* w = weights;
    for (int32_t kx = taps.width; kx > 0; --kx, x += taps.input_step, w += taps.weights_step) {
      const int16x8_t values = vsubq_n_s16(vldrbq_s16(x), zero_point);
      const int16x8_t factors = vldrbq_s16(w);
      sums->even = vaddq_s32(sums->even, vmullbq_int_s16(values, factors));
      sums->odd = vaddq_s32(sums->odd, vmulltq_int_s16(values, factors));
    }
    input += taps.input_row_step;
    weights += taps.weights_row_step;
  }
}

inline void StoreEight(const DepthwiseConv2DParams& params, const EightSums& sums, uint8_t* bytes) {
  const int16_t min = static_cast<int16_t>(params.clamp.min);
  const int16_t max = static_cast<int16_t>(params.clamp.max);
  int16x8_t values = vqmovnbq_s32(vdupq_n_s16(0), sums.even);
  values = vqmovntq_s32(values, sums.odd);
  values = vqaddq_n_s16(values, static_cast<int16_t>(params.output.zero_point));
  values = vminq_s16(vmaxq_s16(values, vdupq_n_s16(min)), vdupq_n_s16(max));
  vstrbq_s16(reinterpret_cast<int8_t*>(bytes), values);
}

[[gnu::noinline]] inline void RunPixel(const BlockwiseDepthwise& conv, int32_t y, int32_t x,
                                       uint8_t* bytes) {
  const PixelTaps taps = TapsOf(conv, y, x);
  const uint32x4_t evens = vidupq_n_u32(0, 2);
  const int16_t zero_point = static_cast<int16_t>(conv.params.input.zero_point);
  const int32_t channels = conv.params.output.channels;
  for (int32_t channel = 0; channel < channels; channel += kEight, bytes += kEight) {
    EightSums sums = LoadEight(conv.table.bias + channel, evens);
    AddTaps(taps, channel, zero_point, &sums);
    const EightSums multiplier = LoadEight(conv.table.multiplier + channel, evens);
    const EightSums shift = LoadEight(conv.table.shift + channel, evens);
    sums.even = Multiply(sums.even, Lanes(multiplier.even, shift.even));
    sums.odd = Multiply(sums.odd, Lanes(multiplier.odd, shift.odd));
    StoreEight(conv.params, sums, bytes);
  }
}

inline void RunFewPixels(const BlockwiseDepthwise& conv) {
  const FeatureMap& out = conv.params.output;
  const Window& window = conv.params.window;
  for (int32_t oy = 0; oy < out.height; ++oy) {
    uint8_t* bytes = conv.output + oy * out.row_bytes;
    for (int32_t ox = 0; ox < out.width; ++ox, bytes += out.channels) {
      RunPixel(conv, oy * window.stride_height - window.pad_top,
               ox * window.stride_width - window.pad_left, bytes);
    }
  }
}

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_DEPTHWISE_PIXEL_H_
