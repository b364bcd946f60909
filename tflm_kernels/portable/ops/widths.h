// portable/ops/widths.h - kernels for one pair of widths, <Op>Of<input bits, weight bits>: where a variant has such,
// a project links those that it runs alone. <Op>Regular is for calls of 8 bits that need no seldom path, and
// DepthwiseConv2DWhole for those and others in whole blocks of channels. The reference has one kernel for all.
#ifndef TFLM_KERNELS_PORTABLE_OPS_WIDTHS_H_
#define TFLM_KERNELS_PORTABLE_OPS_WIDTHS_H_

#include <stdint.h>

#include "tflm_kernels/portable/ops/add.h"
#include "tflm_kernels/portable/ops/conv2d.h"
#include "tflm_kernels/portable/ops/depthwise_conv2d.h"
#include "tflm_kernels/portable/ops/fully_connected.h"

namespace quantmcu {

// Of a table [input bits][weight bits], where 2, 4 and 8 are 0, 1 and 2.
template <typename Fn, typename Params>
inline Fn* AtWidths(Fn* const (&table)[3][3], const Params& params) {
  return table[params.input.bits >> 2][params.weight_bits >> 2];
}

// Of all three maps, or 0 where they differ.
inline int32_t CommonBits(const AddParams& params) {
  const int32_t bits = params.output.bits;
  return params.input0.bits == bits && params.input1.bits == bits ? bits : 0;
}

namespace reference {
template <int, int>
inline constexpr Conv2DFn& Conv2DOf = Conv2D;
inline constexpr Conv2DFn& Conv2DRegular = Conv2D;
inline constexpr DepthwiseConv2DFn& DepthwiseConv2DRegular = DepthwiseConv2D;
inline constexpr DepthwiseConv2DFn& DepthwiseConv2DWhole = DepthwiseConv2D;
template <typename Params>
constexpr bool IsRegular(const Params&, const ChannelTable&) {
  return true;
}
template <typename Params>
constexpr bool IsWhole(const Params&, const ChannelTable&) {
  return true;
}
template <int, int>
inline constexpr DepthwiseConv2DFn& DepthwiseConv2DOf = DepthwiseConv2D;
template <int, int>
inline constexpr FullyConnectedFn& FullyConnectedOf = FullyConnected;
template <int>
inline constexpr AddFn& AddOf = Add;
template <typename Params>
constexpr bool IsFast(const Params&) {
  return true;
}
}  // namespace reference

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_WIDTHS_H_
