// cortex_m/dsp/is_fast.h - which calls the DSP kernels take themselves; the others run on the reference. No
// intrinsics: a host asks what a core will run, so that a project links no more.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_IS_FAST_H_
#define TFLM_KERNELS_CORTEX_M_DSP_IS_FAST_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/scratch.h"
#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/law/fixed_point.h"
#include "tflm_kernels/portable/ops/add.h"
#include "tflm_kernels/portable/ops/conv2d.h"
#include "tflm_kernels/portable/ops/depthwise_conv2d.h"
#include "tflm_kernels/portable/ops/fully_connected.h"

namespace quantmcu {
namespace dsp {

// Of a convolution; beyond them sums of paired products leave their fields (paired.h).
constexpr int32_t kMaxPairedFilterBytes = 4 << 13;
// Of a depthwise convolution.
constexpr int32_t kMaxTaps = 49;

// A factor of [2^-32, 1/2): multiplier >= 2^30 and shift <= -1.
inline bool IsSmallFactor(const FixedPoint& factor) {
  return factor.multiplier >= 1 << 30 && factor.shift <= -1;
}

inline bool IsHalf(const FixedPoint& factor) {
  return factor.multiplier == 1 << 30 && factor.shift == 0;
}

inline bool IsAtMostOne(const FixedPoint& factor) {
  return factor.multiplier >= 1 << 30 && factor.shift <= 0;
}

inline bool IsFast(const Conv2DParams& params) {
  return FilterBytes(params) <= kMaxPairedFilterBytes;
}

inline bool IsFast(const DepthwiseConv2DParams& params) {
  return params.window.kernel_height * params.window.kernel_width <= kMaxTaps;
}

// 8 bits throughout, results that nothing clamps, factors below 1/2.
template <typename Params>
inline bool IsPlainCall(const Params& params, const ChannelTable& table) {
  bool is_plain = IsFast(params) && params.input.bits == 8 && params.weight_bits == 8 &&
                  params.output.bits == 8 && params.clamp.min == -128 && params.clamp.max == 127;
  for (int32_t o = 0; o < params.output.channels && is_plain; ++o) {
    is_plain = IsSmallFactor(FactorOf(table, o));
  }
  return is_plain;
}

// Rows of taps that are whole words, of filters that the loops of byte_dots.h end on.
inline bool HasRegularRows(const Conv2DParams& params) {
  return ((params.input.channels % 4 == 0 && HasRowSpans(params)) || IsGathered(params)) &&
         (IsShort(params) || (FilterBytes(params) % 4 == 0 && params.output.channels % 2 == 0));
}

// Whether Conv2DRegular takes a call.
inline bool IsRegular(const Conv2DParams& params, const ChannelTable& table) {
  return IsPlainCall(params, table) && HasRegularRows(params);
}

// Whether DepthwiseConv2DWhole takes a call: a plain one with whole blocks of channels, each of which reads four input
// channels, or one.
inline bool IsWhole(const DepthwiseConv2DParams& params, const ChannelTable& table) {
  const bool is_shared = params.depth_multiplier % 4 == 0 && !HasRowsWindow(params.window);
  return IsPlainCall(params, table) && params.output.channels % 4 == 0 &&
         (params.depth_multiplier == 1 || is_shared);
}

// Whether DepthwiseConv2DRegular takes a call: each block reads four input channels.
inline bool IsRegular(const DepthwiseConv2DParams& params, const ChannelTable& table) {
  return IsWhole(params, table) && params.depth_multiplier == 1;
}

inline bool IsFast(const FullyConnectedParams&) { return true; }

inline bool IsFast(const AddParams& params) {
  const AddMultipliers& m = params.multipliers;
  return IsSmallFactor(m.output) && ((IsHalf(m.input0) && IsAtMostOne(m.input1)) ||
                                     (IsHalf(m.input1) && IsAtMostOne(m.input0)));
}

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_IS_FAST_H_
