// Scheduling before register allocation makes GCC 12 spill what the loops need.
#ifndef __clang__
#pragma GCC optimize("O2", "no-schedule-insns")
#endif

#include "tflm_kernels/cortex_m/dsp/store_run.h"

#include "tflm_kernels/cortex_m/dsp/fixed_point.h"
#include "tflm_kernels/cortex_m/dsp/four_values.h"

namespace quantmcu {
namespace dsp {

void StoreRun(const FeatureMap& output, const Clamp& clamp, const ChannelTable& table,
              int32_t begin, int32_t count, const int32_t* sums, uint8_t* run) {
  const ClampBytes clamp_bytes = MakeClampBytes(clamp);
  const int32_t zero_point = output.zero_point;
  const int32_t bits = output.bits;
  const int32_t end = begin + count;
  int32_t o = begin;
  for (; o + 4 <= end; o += 4, sums += 4) {
    int32_t y[4];
    for (int32_t i = 0; i < 4; ++i) {
      const FixedPoint factor = FactorOf(table, o + i);
      const int32_t sum = WrappingAdd(sums[i], table.bias[o + i]);
      y[i] = IsSmallFactor(factor) ? MultiplyAdd(sum, MakeSmallFactor(factor), zero_point)
                                   : MultiplyAdd(sum, MakeAnyFactor(factor), zero_point);
    }
    StoreFour(run + o * bits / 8, bits, ClampedBytes(y[0], y[1], y[2], y[3], clamp_bytes));
  }
  for (; o < end; ++o, ++sums) {
    const int32_t y = MultiplyAdd(WrappingAdd(*sums, table.bias[o]),
                                  MakeAnyFactor(FactorOf(table, o)), zero_point);
    const uint32_t bytes = ClampedBytes(y, 0, 0, 0, clamp_bytes);
    StoreValue(run, o, bits, static_cast<int32_t>(bytes & 0xFFu));
  }
}

}  // namespace dsp
}  // namespace quantmcu
