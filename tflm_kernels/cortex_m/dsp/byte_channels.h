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

// How many pixels meet a channel at a time, and what makes their results.
struct ResultsKind {
  int32_t num_pixels;
  int32_t turn;
  void (*make)(ByteDots& dots);
};
constexpr ResultsKind kTwoByTwo = {kStride, kMakeTwoByTwoTurn,
                                   MakeTwoByTwo};  // of even channels and whole words
constexpr ResultsKind kOneByFour = {kShortStride, kTurn, MakeOneByFour};

// All channels of blocks of pixels, as results that nothing clamps.
class PlainResults {
 public:
  PlainResults(const Conv2DParams& params, const Operands& operands, const ResultsKind& kind)
      : kind_(kind),
        bias_(operands.table.bias),
        filter_(operands.filter),
        dots_(MakeByteDots(operands.filter, FilterBytes(params),
                           reinterpret_cast<const uint32_t*>(operands.scratch), kind.num_pixels,
                           kind.turn)),
        num_inside_(NumInside(dots_, params.output.channels)),
        num_last_(params.output.channels - num_inside_) {
    const ChannelTable& table = operands.table;
    dots_.shift_bytes = BytesBetween(table.bias, table.shift);
    dots_.multiplier_bytes = BytesBetween(table.bias, table.multiplier);
    dots_.zero_point = params.output.zero_point;
    if (num_last_ == 0) return;
    memcpy(last_, filter_ + num_inside_ * dots_.filter_bytes,
           static_cast<size_t>(num_last_ * dots_.filter_bytes));
  }

  // Of the pixels whose columns stand in scratch, where each stands.
  uint8_t** Runs() { return dots_.results; }
  void Make() {
    dots_.bias = bias_;
    if (num_inside_ > 0) MakeChannels(filter_, num_inside_);
    if (num_last_ > 0) MakeChannels(last_, num_last_);
  }

 private:
  void MakeChannels(const uint8_t* filter, int32_t count) {
    dots_.filter = filter;
    dots_.bias_end = dots_.bias + count;
    kind_.make(dots_);
  }

  const ResultsKind kind_;
  const int32_t* const bias_;
  const uint8_t* const filter_;
  ByteDots dots_;
  const int32_t num_inside_;
  const int32_t num_last_;
  uint8_t last_[kMaxShortFilterBytes + 4];  // filters of which words reach behind
};

// Of one block.
inline void MakePlainResults(const Conv2DParams& params, const Operands& operands,
                             const ResultsKind& kind, uint8_t* const* runs) {
  PlainResults results(params, operands, kind);
  for (int32_t p = 0; p < kind.num_pixels; ++p) results.Runs()[p] = runs[p];
  results.Make();
}

// Two pixels.
inline void TwoByTwoChannels(const Conv2DParams& params, const Operands& operands,
                             const int32_t* /*column_sums*/, uint8_t* const* runs) {
  const auto* columns = reinterpret_cast<const uint32_t*>(operands.scratch);
  const FeatureMap& output = params.output;
  const int32_t filter_bytes = FilterBytes(params);
  ByteDots dots = MakeByteDots(operands.filter, filter_bytes, columns, 2, kTurn);
  int32_t sums[kByteSums];
  const int32_t num_channels = output.channels;
  const int32_t num_summed = NumInside(dots, num_channels) & ~1;
  if (operands.has_plain_results && num_summed == num_channels) {
    return MakePlainResults(params, operands, kTwoByTwo, runs);
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

// Four pixels, filters of at most kMaxShortFilterBytes.
inline void OneByFourChannels(const Conv2DParams& params, const Operands& operands,
                              const int32_t* /*column_sums*/, uint8_t* const* runs) {
  if (operands.has_plain_results) return MakePlainResults(params, operands, kOneByFour, runs);
  const auto* columns = reinterpret_cast<const uint32_t*>(operands.scratch);
  const FeatureMap& output = params.output;
  const int32_t filter_bytes = FilterBytes(params);
  ByteDots dots = MakeByteDots(operands.filter, filter_bytes, columns, 4, kTurn);
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
