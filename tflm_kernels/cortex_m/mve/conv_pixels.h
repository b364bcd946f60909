// cortex_m/mve/conv_pixels.h - what Conv2D for MVE does with pixels whose windows are expanded: one, two or four of them
// meet all quads of channels of a block.
#ifndef TFLM_KERNELS_CORTEX_M_MVE_CONV_PIXELS_H_
#define TFLM_KERNELS_CORTEX_M_MVE_CONV_PIXELS_H_

#include <arm_mve.h>
#include <stdint.h>

#include "tflm_kernels/cortex_m/mve/channel_quad.h"
#include "tflm_kernels/cortex_m/mve/dot_quad.h"
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

// Where the results of a pixel go.
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
  StoreQuad(pixels.first, lanes, Result<kShiftsLeft>(sums.val[0], scales, lanes), rest);
  if constexpr (kIsPair) {
    StoreQuad(pixels.second, lanes, Result<kShiftsLeft>(sums.val[1], scales, lanes), rest);
  }
}

// All quads of a block for one or two pixels whose windows are expanded. kIsBytes: weights and results have 8 bits; then
// the sums are called by their names.
template <bool kIsPair, bool kShiftsLeft, bool kIsBytes>
[[gnu::noinline]] void RunPixels(const Convolution& conv, const QuadBlock& block,
                                 const Pixels& pixels) {
  const OutputLanes lanes = conv.output_lanes;
  const RowSteps16 steps = conv.steps;
  const int8_t* windows = conv.expanded;
  const ChannelTable table = conv.channels.table;
  DotPairFn* const dot_pair = kIsBytes ? DotPair8 : conv.dots.pair;
  DotOneFn* const dot_one = kIsBytes ? DotOne8 : conv.dots.one;
  const int32_t quad_bytes = kIsBytes ? kQuad : kQuad * lanes.bits / 8;
  const QuadRows* quad = block.quads;
  const QuadRows* end = quad + block.count;
  int32_t channel = block.first;
  if (conv.channels.count - channel < block.count * kQuad) --end;
  uint8_t* first = pixels.first;
  uint8_t* second = pixels.second;
  for (; quad != end; ++quad, channel += kQuad, first += quad_bytes) {
    if constexpr (kIsPair) {
      const PairSums sums = dot_pair(quad, steps.rest, windows, steps.blocks);
      const Scales scales = WholeScales(table, channel);
      const int32x4_t values0 = Result<kShiftsLeft>(sums.val[0], scales, lanes);
      const int32x4_t values1 = Result<kShiftsLeft>(sums.val[1], scales, lanes);
      if constexpr (kIsBytes) {
        StoreBytes(first, values0);
        StoreBytes(second, values1);
      } else {
        StoreQuads(first, second, lanes, values0, values1);
      }
      second += quad_bytes;
    } else {
      const int32x4_t sums = dot_one(quad, steps.rest, windows, steps.blocks);
      const Scales scales = WholeScales(table, channel);
      StoreQuad(first, lanes, Result<kShiftsLeft>(sums, scales, lanes), kQuad);
    }
  }
  if (quad != block.quads + block.count) {
    RunRest<kIsPair, kShiftsLeft>(conv, *quad, channel, {first, second});
  }
}

template <bool kIsPair>
inline void RunPixels(const Convolution& conv, const QuadBlock& block, const Pixels& pixels) {
  const bool is_bytes = conv.dots.pair == DotPair8 && conv.output_lanes.bits == 8;
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
  const int32_t quad_bytes = kQuad * lanes.bits / 8;
  for (int32_t q = 0; q < block.count; ++q) {
    const int32_t channel = block.first + q * kQuad;
    const int32_t rest = conv.channels.count - channel;
    const FourSums sums =
        conv.dots.four(&block.quads[q], conv.steps.rest, conv.expanded, conv.steps.blocks);
    const mve_pred16_t inside = vctp32q(static_cast<uint32_t>(rest));
    const Scales scales = {vldrwq_z_s32(table.multiplier + channel, inside),
                           vldrwq_z_s32(table.shift + channel, inside)};
    int32x4_t values[kFour];
    for (int32_t p = 0; p < kFour; ++p) values[p] = Result<kShiftsLeft>(sums.val[p], scales, lanes);
    const int32_t at = q * quad_bytes;
    if (rest >= kQuad) {
      StoreQuads(pixels[0] + at, pixels[1] + at, lanes, values[0], values[1]);
      StoreQuads(pixels[2] + at, pixels[3] + at, lanes, values[2], values[3]);
    } else {
      for (int32_t p = 0; p < kFour; ++p) StoreQuad(pixels[p] + at, lanes, values[p], rest);
    }
  }
}

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_CONV_PIXELS_H_
