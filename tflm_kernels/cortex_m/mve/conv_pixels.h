// cortex_m/mve/conv_pixels.h - what Conv2D for MVE does with pixels whose windows are expanded: one, two or four of them
// meet all quads of channels of a block.
#ifndef TFLM_KERNELS_CORTEX_M_MVE_CONV_PIXELS_H_
#define TFLM_KERNELS_CORTEX_M_MVE_CONV_PIXELS_H_

#include <arm_mve.h>
#include <stdint.h>

#include "tflm_kernels/cortex_m/mve/channel_quad.h"
#include "tflm_kernels/cortex_m/mve/dot_quad.h"
#include "tflm_kernels/cortex_m/mve/packed.h"
#include "tflm_kernels/cortex_m/mve/window.h"

namespace quantmcu {
namespace mve {

constexpr int32_t kFour = 4;  // pixels at once, of weights below 8 bits

struct Convolution {
  const Conv2DParams& params;
  const uint8_t* filter;
  Channels channels;
  OutputLanes output_lanes;
  uint8_t* output;
  Windows windows;
  bool has_expanded_weights;
  int8_t* weights;   // of num_quads quads, if so
  int8_t* expanded;  // windows of neighbours
  int32_t num_windows;
  RowSteps16 steps;
  const QuadDots& dots;
};

// Quads of the same pixels.
struct QuadBlock {
  int32_t first;  // channel
  int32_t count;
  bool shifts_left;  // a factor does
  QuadRows quads[kMaxQuads];
};

// Where the results of a pixel go, as bytes.
struct Pixels {
  uint8_t* first;
  uint8_t* second;  // of a pair
};

// How results of four channels from `channel` on follow from their sums.
struct Scales {
  int32x4_t multiplier;
  int32x4_t shift;
};

inline Scales WholeScales(const ChannelTable& table, int32_t channel) {
  return {vldrwq_s32(table.multiplier + channel), vldrwq_s32(table.shift + channel)};
}

template <bool kShiftsLeft>
inline int32x4_t Result(int32x4_t sums, const Scales& scales, const OutputLanes& lanes) {
  if constexpr (kShiftsLeft)
    return Requantized(sums, Lanes(scales.multiplier, scales.shift), lanes);
  return Offset(MultiplyRight(sums, {scales.multiplier, scales.shift, scales.shift}), lanes);
}

// The last quad of a map, with fewer channels.
template <bool kIsPair, bool kShiftsLeft>
[[gnu::noinline]] void RunRest(const Convolution& conv, const QuadRows& quad, int32_t channel,
                               const Pixels& pixels) {
  const RowSteps16 steps = conv.steps;
  const OutputLanes& lanes = conv.output_lanes;
  const int32_t rest = conv.channels.count - channel;
  PairSums sums = {};
  if constexpr (kIsPair) {
    sums = conv.dots.pair(&quad, steps.rest, conv.expanded, steps.blocks);
  } else {
    sums.val[0] = conv.dots.one(&quad, steps.rest, conv.expanded, steps.blocks);
  }
  const ChannelTable& table = conv.channels.table;
  const mve_pred16_t inside = vctp32q(static_cast<uint32_t>(rest));
  const Scales scales = {vldrwq_z_s32(table.multiplier + channel, inside),
                         vldrwq_z_s32(table.shift + channel, inside)};
  StoreBytes(pixels.first, Result<kShiftsLeft>(sums.val[0], scales, lanes), inside);
  if constexpr (kIsPair) {
    StoreBytes(pixels.second, Result<kShiftsLeft>(sums.val[1], scales, lanes), inside);
  }
}

// All quads of a block for one or two pixels whose windows are expanded. kIsBytes: the sums are those of 8-bit weights,
// which are called by their names.
template <bool kIsPair, bool kShiftsLeft, bool kIsBytes>
[[gnu::noinline]] void RunPixels(const Convolution& conv, const QuadBlock& block,
                                 const Pixels& pixels) {
  const OutputLanes lanes = conv.output_lanes;
  const RowSteps16 steps = conv.steps;
  const int8_t* windows = conv.expanded;
  const ChannelTable table = conv.channels.table;
  DotPairFn* const dot_pair = kIsBytes ? DotPair8 : conv.dots.pair;
  DotOneFn* const dot_one = kIsBytes ? DotOne8 : conv.dots.one;
  const QuadRows* quad = block.quads;
  const QuadRows* end = quad + block.count;
  int32_t channel = block.first;
  if (conv.channels.count - channel < block.count * kQuad) --end;
  uint8_t* first = pixels.first;
  uint8_t* second = pixels.second;
  for (; quad != end; ++quad, channel += kQuad, first += kQuad) {
    if constexpr (kIsPair) {
      const PairSums sums = dot_pair(quad, steps.rest, windows, steps.blocks);
      const Scales scales = WholeScales(table, channel);
      StoreBytes(first, Result<kShiftsLeft>(sums.val[0], scales, lanes));
      StoreBytes(second, Result<kShiftsLeft>(sums.val[1], scales, lanes));
      second += kQuad;
    } else {
      const int32x4_t sums = dot_one(quad, steps.rest, windows, steps.blocks);
      const Scales scales = WholeScales(table, channel);
      StoreBytes(first, Result<kShiftsLeft>(sums, scales, lanes));
    }
  }
  if (quad != block.quads + block.count) {
    RunRest<kIsPair, kShiftsLeft>(conv, *quad, channel, {first, second});
  }
}

template <bool kIsPair>
inline void RunPixels(const Convolution& conv, const QuadBlock& block, const Pixels& pixels) {
  const bool is_bytes = conv.dots.pair == DotPair8;
  if (block.shifts_left) {
    RunPixels<kIsPair, true, false>(conv, block, pixels);
  } else if (is_bytes) {
    RunPixels<kIsPair, false, true>(conv, block, pixels);
  } else {
    RunPixels<kIsPair, false, false>(conv, block, pixels);
  }
}

// All quads of a block for four pixels whose windows are expanded.
template <bool kShiftsLeft>
[[gnu::noinline]] void RunFour(const Convolution& conv, const QuadBlock& block,
                               uint8_t* const* pixels) {
  const OutputLanes& lanes = conv.output_lanes;
  const ChannelTable& table = conv.channels.table;
  for (int32_t q = 0; q < block.count; ++q) {
    const int32_t channel = block.first + q * kQuad;
    const int32_t rest = conv.channels.count - channel;
    const FourSums sums =
        conv.dots.four(&block.quads[q], conv.steps.rest, conv.expanded, conv.steps.blocks);
    const mve_pred16_t inside = vctp32q(static_cast<uint32_t>(rest));
    const Scales scales = {vldrwq_z_s32(table.multiplier + channel, inside),
                           vldrwq_z_s32(table.shift + channel, inside)};
    for (int32_t p = 0; p < kFour; ++p) {
      StoreBytes(pixels[p] + q * kQuad, Result<kShiftsLeft>(sums.val[p], scales, lanes), inside);
    }
  }
}

// Pixels whose windows are expanded, their results as bytes: 1, 2, or 4 of weights below 8 bits.
template <int32_t kCount>
inline void RunBytes(const Convolution& conv, const QuadBlock& block, uint8_t* const* pixels) {
  if constexpr (kCount < kFour) {
    RunPixels<kCount == 2>(conv, block, {pixels[0], pixels[kCount - 1]});
  } else if (block.shifts_left) {
    RunFour<true>(conv, block, pixels);
  } else {
    RunFour<false>(conv, block, pixels);
  }
}

constexpr int32_t kMaxBlock = kMaxQuads * kQuad;  // channels

template <int32_t kBits>
inline void PackRow(const uint8_t* values, int32_t count, uint8_t* run) {
  for (; count >= kLanes; count -= kLanes, values += kLanes, run += kLanes * kBits / 8) {
    StoreLanes(run, kBits, LoadLanes<8>(values));
  }
  if (count > 0) StoreLanes(run, kBits, LoadLanes<8>(values), count);
}

// Reads whole vectors of values.
inline void PackRow(const uint8_t* values, int32_t count, int32_t bits, uint8_t* run) {
  if (bits == 4) {
    PackRow<4>(values, count, run);
  } else {
    PackRow<2>(values, count, run);
  }
}

// The same below 8 bits, packed.
template <int32_t kCount>
[[gnu::noinline]] void RunPacked(const Convolution& conv, const QuadBlock& block,
                                 uint8_t* const* pixels) {
  uint8_t values[kCount][kMaxBlock];
  uint8_t* rows[kCount];
  for (int32_t p = 0; p < kCount; ++p) rows[p] = values[p];
  RunBytes<kCount>(conv, block, rows);
  const int32_t left = conv.channels.count - block.first;
  const int32_t length = left < block.count * kQuad ? left : block.count * kQuad;
  for (int32_t p = 0; p < kCount; ++p)
    PackRow(values[p], length, conv.output_lanes.bits, pixels[p]);
}

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_CONV_PIXELS_H_
