// Average pool with the DSP extension.
//
// What is gained: SXTAB16 adds four channels in two instructions, in int16 while they last: 256 taps
// of 8 bits sum to at least -2^15, 255 to less than 2^15.
#include "tflm_kernels/cortex_m/pool_dsp.h"
#include "tflm_kernels/portable/average_pool2d.h"

namespace quantmcu {
namespace dsp {
namespace {

constexpr int32_t kTapsInHalves = 255;

// Two int16 sums each: of channels 0 and 2, of 1 and 3.
struct HalfSums {
  uint32_t even = 0;
  uint32_t odd = 0;
  int32_t num_taps = 0;
};

void Flush(HalfSums* halves, FourSums* sums) {
  sums->values[0] += static_cast<int16_t>(halves->even);
  sums->values[1] += static_cast<int16_t>(halves->odd);
  sums->values[2] += static_cast<int16_t>(halves->even >> 16);
  sums->values[3] += static_cast<int16_t>(halves->odd >> 16);
  *halves = {};
}

FourSums AverageOfTaps(const uint8_t* first, const PoolTaps& taps) {
  FourSums sums = {};
  HalfSums halves;
  ForEachTap(first, taps, [&](uint32_t values) {
    if (halves.num_taps == kTapsInHalves) Flush(&halves, &sums);
    halves.even = __sxtab16(halves.even, values);
    halves.odd = Sxtab16Ror8(halves.odd, values);
    ++halves.num_taps;
  });
  Flush(&halves, &sums);
  const int32_t num_taps = taps.height * taps.width;
  for (int32_t& sum : sums.values) {
    sum = (sum > 0 ? sum + num_taps / 2 : sum - num_taps / 2) / num_taps;
  }
  return sums;
}

}  // namespace

void AveragePool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output, uint8_t*) {
  Pool2D(params, input, output, AverageOfTaps);
}

}  // namespace dsp
}  // namespace quantmcu
