// Scheduling before register allocation makes GCC 12 spill what the loops need.
#ifndef __clang__
#pragma GCC optimize("O2", "no-schedule-insns")
#endif

#include "tflm_kernels/cortex_m/dsp/store_run.h"

#include "tflm_kernels/cortex_m/dsp/fixed_point.h"
#include "tflm_kernels/cortex_m/dsp/four_values.h"
#include "tflm_kernels/cortex_m/dsp/store_blocks.h"

namespace quantmcu {
namespace dsp {

namespace {

// Saturated to int8.
[[gnu::noinline]] int32_t AnyOne(int32_t sum, const FixedPoint& factor, int32_t zero_point) {
  return __ssat(MultiplyAdd(sum, MakeAnyFactor(factor), zero_point), 8);
}

// A byte in place of each sum, one behind the other.
void RequantizeOneByOne(const ChannelTable& table, int32_t channel, int32_t zero_point,
                        int32_t* sums, const int32_t* sums_end) {
  ChannelCursor at = CursorAt(table, channel);
  auto* byte = reinterpret_cast<uint8_t*>(sums);
  while (sums != sums_end) {
    const int32_t sum = WrappingAdd(*sums++, *at.bias++);
    const FixedPoint factor = {*at.multiplier++, *at.shift++};
    const SmallFactor small = MakeSmallFactor(factor);
    // Negative if small, see IsSmallFactor.
    const int32_t value = (small.doubled_multiplier & factor.shift) < 0
                              ? __ssat(MultiplyAdd(sum, small, zero_point), 8)
                              : AnyOne(sum, factor, zero_point);
    *byte++ = static_cast<uint8_t>(value);
  }
}

}  // namespace

void StoreRun(const FeatureMap& output, const Clamp& clamp, const ChannelTable& table,
              int32_t begin, int32_t count, int32_t* sums, uint8_t* run) {
  RequantizeOneByOne(table, begin, output.zero_point, sums, sums + count);
  const ClampBytes bounds = MakeClampBytes(clamp);
  const int32_t bits = output.bits;
  const auto* values = reinterpret_cast<const uint8_t*>(sums);
  run += begin * bits / 8;
  for (; count > 0; count -= 4, run += FourValuesBytes(bits)) {
    const uint32_t word = SmallerBytes(LargerBytes(NextWord(values), bounds.min), bounds.max);
    PutSome(run, bits, count, word);
  }
}

}  // namespace dsp
}  // namespace quantmcu
