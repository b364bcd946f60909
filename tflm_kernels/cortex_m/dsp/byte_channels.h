// cortex_m/dsp/byte_channels.h - all output channels of the pixels of a block whose inputs are widened (widen.h), 8-bit
// weights.
//
// What is gained: byte_dots.h makes the sums of many channels at once.
// Source   written from docs/arithmetic.md A3.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_BYTE_CHANNELS_H_
#define TFLM_KERNELS_CORTEX_M_DSP_BYTE_CHANNELS_H_

#include <stdint.h>
#include <string.h>

#include "tflm_kernels/cortex_m/dsp/byte_dots.h"
#include "tflm_kernels/cortex_m/dsp/dot.h"
#include "tflm_kernels/cortex_m/dsp/operands.h"
#include "tflm_kernels/cortex_m/dsp/scratch.h"
#include "tflm_kernels/cortex_m/dsp/store_blocks.h"
#include "tflm_kernels/portable/ops/conv2d.h"

namespace quantmcu {
namespace dsp {

constexpr int32_t kByteSums = 96;  // at once

inline int32_t Smaller(int32_t a, int32_t b) { return a < b ? a : b; }

// Of arrays anywhere, as the assembly adds them.
inline int32_t BytesBetween(const int32_t* from, const int32_t* to) {
  return static_cast<int32_t>(reinterpret_cast<uintptr_t>(to) - reinterpret_cast<uintptr_t>(from));
}

// Sums that become results from the first channel on.
inline ByteDots MakeResultDots(const Conv2DParams& params, const Operands& operands,
                               uint8_t* const* runs, int32_t num_pixels) {
  const auto* columns = reinterpret_cast<const uint32_t*>(operands.scratch);
  const ChannelTable& table = operands.table;
  ByteDots dots = MakeByteDots(operands.filter, FilterBytes(params), columns, num_pixels);
  dots.bias = table.bias;
  dots.shift_bytes = BytesBetween(table.bias, table.shift);
  dots.multiplier_bytes = BytesBetween(table.bias, table.multiplier);
  dots.zero_point = params.output.zero_point;
  for (int32_t p = 0; p < num_pixels; ++p) dots.results[p] = runs[p];
  return dots;
}

// Two pixels of calls that IsRegular.
inline void TwoByTwoResults(const Conv2DParams& params, const Operands& operands,
                            const int32_t* /*column_sums*/, uint8_t* const* runs) {
  ByteDots dots = MakeResultDots(params, operands, runs, 2);
  dots.bias_end = dots.bias + params.output.channels;
  MakeTwoByTwo(dots);
}

// Two pixels.
inline void TwoByTwoChannels(const Conv2DParams& params, const Operands& operands,
                             const int32_t* column_sums, uint8_t* const* runs) {
  const auto* columns = reinterpret_cast<const uint32_t*>(operands.scratch);
  const FeatureMap& output = params.output;
  const int32_t filter_bytes = FilterBytes(params);
  ByteDots dots = MakeByteDots(operands.filter, filter_bytes, columns, 2);
  int32_t sums[kByteSums];
  const int32_t num_channels = output.channels;
  const int32_t num_summed = NumInside(dots, num_channels) & ~1;
  if (operands.has_plain_results && num_summed == num_channels) {
    return TwoByTwoResults(params, operands, column_sums, runs);
  }
  for (int32_t o = 0, count; o < num_channels; o += count) {
    count = Smaller(num_channels - o, kByteSums / 2);
    const int32_t summed = Smaller(num_summed - o, count);
    dots.sums = sums;
    dots.sums_end = sums + 2 * summed;
    if (summed > 0) SumTwoByTwo(dots);
    dots.filter += summed * filter_bytes;
    for (int32_t i = summed; i < count; ++i) {
      int32_t one[1][2] = {{0, 0}};
      Dots<8, 1, 2>::Add(dots.filter, filter_bytes, columns, one);
      sums[2 * i] = one[0][0];
      sums[2 * i + 1] = one[0][1];
      dots.filter += filter_bytes;
    }
    const int32_t* const end = sums + 2 * (count & ~1);
    RequantizeTwoByTwo(operands.table, o, output.zero_point, sums, end);
    if (count % 2 != 0) {
      ChannelCursor at = CursorAt(operands.table, o + count - 1);
      sums[2 * (count - 1)] =
          static_cast<int32_t>(RequantizedTwo(sums + 2 * (count - 1), at, output.zero_point));
    }
    ClampWords(params.clamp, sums, sums + 2 * ((count + 1) & ~1));
    StoreTwoByTwo(output.bits, o, count, sums, runs);
  }
}

// Four pixels of calls that IsRegular, filters of at most kMaxShortFilterBytes.
inline void OneByFourResults(const Conv2DParams& params, const Operands& operands,
                             const int32_t* /*column_sums*/, uint8_t* const* runs) {
  ByteDots dots = MakeResultDots(params, operands, runs, 4);
  const int32_t num_made = NumInside(dots, params.output.channels);
  const int32_t rest = params.output.channels - num_made;
  dots.bias_end = dots.bias + num_made;
  if (num_made > 0) MakeOneByFour(dots);
  if (rest == 0) return;
  uint8_t last[kMaxShortFilterBytes + 4];
  const int32_t filter_bytes = dots.filter_bytes;
  memcpy(last, dots.filter + num_made * filter_bytes, static_cast<size_t>(rest * filter_bytes));
  dots.filter = last;
  dots.bias_end += rest;
  MakeOneByFour(dots);
}

// Four pixels, filters of at most kMaxShortFilterBytes.
inline void OneByFourChannels(const Conv2DParams& params, const Operands& operands,
                              const int32_t* column_sums, uint8_t* const* runs) {
  if (operands.has_plain_results) return OneByFourResults(params, operands, column_sums, runs);
  const auto* columns = reinterpret_cast<const uint32_t*>(operands.scratch);
  const FeatureMap& output = params.output;
  const int32_t filter_bytes = FilterBytes(params);
  ByteDots dots = MakeByteDots(operands.filter, filter_bytes, columns, 4);
  int32_t sums[kByteSums];
  const int32_t num_channels = output.channels;
  const int32_t num_summed = NumInside(dots, num_channels);
  uint8_t
      last[kMaxShortFilterBytes + 4];  // the filters that are not inside, and what is read behind
  for (int32_t o = 0, count; o < num_channels; o += count) {
    count = Smaller(num_channels - o, kByteSums / 4);
    const int32_t inside = Smaller(num_summed - o, count);
    const int32_t summed = inside > 0 ? inside : 0;
    const uint8_t* const next = dots.filter + count * filter_bytes;
    dots.sums = sums;
    dots.sums_end = sums + 4 * summed;
    if (summed > 0) SumOneByFour(dots);
    if (summed < count) {
      const int32_t rest = (count - summed) * filter_bytes;
      memcpy(last, next - rest, static_cast<size_t>(rest));
      dots.filter = last;
      dots.sums = sums + 4 * summed;
      dots.sums_end = sums + 4 * count;
      SumOneByFour(dots);
    }
    dots.filter = next;
    RequantizeOneByFour(operands.table, o, output.zero_point, sums, sums + 4 * count);
    ClampWords(params.clamp, sums, sums + 4 * count);
    StoreOneByFour(0, output.bits, o, count, sums, runs[0], runs[2]);
    StoreOneByFour(8, output.bits, o, count, sums, runs[1], runs[3]);
  }
}

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_BYTE_CHANNELS_H_
