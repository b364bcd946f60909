// cortex_m/plain/depthwise_pixels.h - a few output pixels of a depthwise convolution of 8 bits: pixel by pixel, four
// channels at a time.
//
// What is gained: nothing is set up a channel.
#ifndef TFLM_KERNELS_CORTEX_M_PLAIN_DEPTHWISE_PIXELS_H_
#define TFLM_KERNELS_CORTEX_M_PLAIN_DEPTHWISE_PIXELS_H_

#include <stdint.h>
#include <string.h>

#include "tflm_kernels/cortex_m/plain/fixed_point.h"
#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/ops/depthwise_conv2d.h"

namespace quantmcu {
namespace plain {

// Output pixels from which on a set-up a channel pays: a word that need not be aligned is four loads on the M0+.
#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1
constexpr int32_t kManyPixels = 4;
#else
constexpr int32_t kManyPixels = 9;
#endif

constexpr int32_t kFewTaps = 9;  // of more the set-up is less than what words cost

inline bool TakesPixels(const DepthwiseConv2DParams& params) {
  return params.input.bits == 8 && params.weight_bits == 8 && params.output.bits == 8 &&
         params.depth_multiplier == 1 && params.output.channels % 4 == 0;
}

// Bytes from where the window begins, and the filter.
struct TapOffsets {
  int32_t input;
  int32_t filter;
};

struct FourChannels {
  int32_t sums[4];
};

inline uint32_t WordAt(const uint8_t* bytes) {
  uint32_t word;
  memcpy(&word, bytes, sizeof(word));
  return word;
}

// biases + what the taps make of four channels; at least one tap.
inline FourChannels SumFour(const int32_t* bias, const uint8_t* input, int32_t zero_point,
                            const uint8_t* filter, const TapOffsets* tap, const TapOffsets* end) {
  int32_t s0 = bias[0], s1 = bias[1], s2 = bias[2], s3 = bias[3];
  do {
    const uint32_t x = WordAt(input + tap->input);
    const uint32_t w = WordAt(filter + tap->filter);
    s0 += (static_cast<int8_t>(x) - zero_point) * static_cast<int8_t>(w);
    s1 += (static_cast<int8_t>(x >> 8) - zero_point) * static_cast<int8_t>(w >> 8);
    s2 += (static_cast<int8_t>(x >> 16) - zero_point) * static_cast<int8_t>(w >> 16);
    s3 += (static_cast<int8_t>(x >> 24) - zero_point) * static_cast<int8_t>(w >> 24);
  } while (++tap != end);
  return {{s0, s1, s2, s3}};
}

// All channels of one pixel.
inline void OutputPixel(const DepthwiseConv2DParams& params, const uint8_t* input,
                        const uint8_t* filter, const TapOffsets* taps, const TapOffsets* end,
                        const ChannelTable& table, uint8_t* output) {
  const Rescaling by = {params.output.zero_point, params.clamp};
  for (int32_t c = 0; c < params.output.channels; c += 4) {
    const FourChannels four =
        SumFour(table.bias + c, input + c, params.input.zero_point, filter + c, taps, end);
    for (int32_t lane = 0; lane < 4; ++lane) {
      const int32_t y = MultiplyBy(four.sums[lane], FactorOf(table, c + lane));
      output[c + lane] = static_cast<uint8_t>(by.Clamped(y));
    }
  }
}

}  // namespace plain
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_PLAIN_DEPTHWISE_PIXELS_H_
