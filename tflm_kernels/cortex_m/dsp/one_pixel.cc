// Scheduling before register allocation makes GCC 12 spill what the loops of dot.h need.
#ifndef __clang__
#pragma GCC optimize("Os", "no-schedule-insns")
#endif

#include "tflm_kernels/cortex_m/dsp/one_pixel.h"

#include "tflm_kernels/cortex_m/dsp/byte_dots.h"
#include "tflm_kernels/cortex_m/dsp/dot.h"
#include "tflm_kernels/cortex_m/dsp/store_run.h"
#include "tflm_kernels/cortex_m/dsp/widen.h"

namespace quantmcu {
namespace dsp {
namespace {

constexpr int32_t kSumsAtOnce = 32;

// Of the channels whose filters stand from `filter` on; of 8 bits these are few, see NumInside.
template <int kWBits>
void SumChannelsOfOnePixel(const uint8_t* filter, int32_t filter_bytes, const uint32_t* words,
                           int32_t count, int32_t* sums) {
  int32_t o = 0;
  if constexpr (kWBits < 8) {
    for (; o + 2 <= count; o += 2, filter += 2 * filter_bytes) {
      int32_t two[2][1] = {{0}, {0}};
      Dots<kWBits, 2, 1>::Add(filter, filter_bytes, words, two);
      sums[o] = two[0][0];
      sums[o + 1] = two[1][0];
    }
  }
  for (; o < count; ++o, filter += filter_bytes) {
    int32_t one[1][1] = {{0}};
    Dots<kWBits, 1, 1>::Add(filter, filter_bytes, words, one);
    sums[o] = one[0][0];
  }
}

}  // namespace

template <int kWBits>
void OnePixel(const FeatureMap& output, const Clamp& clamp, int32_t filter_bytes,
              const Operands& operands, int32_t column_sum, uint8_t* run) {
  const auto* words = reinterpret_cast<const uint32_t*>(operands.scratch);
  ByteDots dots = MakeByteDots(operands.filter, filter_bytes, words, 1, kFourByOneTurn);
  int32_t sums[kSumsAtOnce];
  const int32_t last = NumInside(dots, output.channels);
  for (int32_t o = 0, count; o < output.channels; o += count) {
    const int32_t left = output.channels - o;
    count = left < kSumsAtOnce ? left : kSumsAtOnce;
    int32_t done = 0;
    if (kWBits == 8) {
      done = (o + count < last ? count : o < last ? last - o : 0) & ~3;
      dots.sums = sums;
      dots.sums_end = sums + done;
      if (done > 0) SumFourByOne(dots);
    }
    SumChannelsOfOnePixel<kWBits>(dots.filter + done * filter_bytes, filter_bytes, words,
                                  count - done, sums + done);
    if (kWBits < 8) {
      const int32_t correction = -column_sum * Widening<kWBits>::kWeightOffset;
      for (int32_t i = 0; i < count; ++i) sums[i] = WrappingAdd(sums[i], correction);
    }
    StoreRun(output, clamp, operands.table, o, count, sums, run);
    dots.filter += count * filter_bytes;
  }
}

template void OnePixel<8>(const FeatureMap&, const Clamp&, int32_t, const Operands&, int32_t,
                          uint8_t*);
template void OnePixel<4>(const FeatureMap&, const Clamp&, int32_t, const Operands&, int32_t,
                          uint8_t*);
template void OnePixel<2>(const FeatureMap&, const Clamp&, int32_t, const Operands&, int32_t,
                          uint8_t*);

}  // namespace dsp
}  // namespace quantmcu
