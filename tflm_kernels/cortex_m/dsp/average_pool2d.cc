// Average pool with the DSP extension.
//
// What is gained: SXTAB16 adds four channels in two instructions, in int16 while they last: 256 taps
// of 8 bits sum to at least -2^15, 255 to less than 2^15.

// The loops over taps are as fast when the rest is small, which few networks spend time in.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/portable/ops/average_pool2d.h"

#include "tflm_kernels/cortex_m/dsp/pool.h"

namespace quantmcu {
namespace dsp {
namespace {

constexpr int32_t kTapsInHalves = 255;

// Two int16 sums each: of channels 0 and 2, of 1 and 3.
struct HalfSums {
  uint32_t even = 0;
  uint32_t odd = 0;
};

void Flush(HalfSums* halves, FourSums* sums) {
  sums->s0 += static_cast<int16_t>(halves->even);
  sums->s1 += static_cast<int16_t>(halves->odd);
  sums->s2 += static_cast<int16_t>(halves->even >> 16);
  sums->s3 += static_cast<int16_t>(halves->odd >> 16);
  *halves = {};
}

[[gnu::flatten]] FourSums AverageOfTaps(const uint8_t* first, const PoolTaps& taps) {
  FourSums sums = {};
  HalfSums halves;
  const int32_t num_taps = taps.height * taps.width;
  for (int32_t y = 0; y < taps.height; ++y, first += taps.row_bytes) {
    for (int32_t x = 0; x < taps.width; x += kTapsInHalves) {
      const int32_t left = taps.width - x;
      const int32_t count = left < kTapsInHalves ? left : kTapsInHalves;
      ForEachTap(
          first + x * taps.pixel_bytes, count,
          taps, [&](uint32_t values) __attribute__((always_inline)) {
            halves.even = Sxtab16(halves.even, values);
            halves.odd = Sxtab16Ror8(halves.odd, values);
          });
      if (num_taps > kTapsInHalves) Flush(&halves, &sums);
    }
  }
  Flush(&halves, &sums);
  int32_t means[] = {sums.s0, sums.s1, sums.s2, sums.s3};
  for (int32_t& mean : means) mean = RoundedMean(mean, num_taps);
  return {means[0], means[1], means[2], means[3]};
}

}  // namespace

void AveragePool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output) {
  Pool2D(params, input, output, AverageOfTaps);
}

}  // namespace dsp
}  // namespace quantmcu
