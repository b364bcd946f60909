// cortex_m/mve/kernels.h - the kernels of portable/ for cores with MVE (Helium, Cortex-M55): equal
// to `reference` in every byte. Each is in <op>.cc, which says what it gains and what it leaves
// to the reference.
//
// Memory   as in the portable header of the op.
#ifndef TFLM_KERNELS_CORTEX_M_MVE_KERNELS_H_
#define TFLM_KERNELS_CORTEX_M_MVE_KERNELS_H_

#include "tflm_kernels/portable/ops/fully_connected.h"
#include "tflm_kernels/portable/ops/kernels.h"

namespace quantmcu {
namespace mve {

Conv2DFn Conv2D;
Conv2DScratchBytesFn Conv2DScratchBytes;
DepthwiseConv2DFn DepthwiseConv2D;
DepthwiseConv2DScratchBytesFn DepthwiseConv2DScratchBytes;
FullyConnectedFn FullyConnected;
FullyConnectedScratchBytesFn FullyConnectedScratchBytes;
AddFn Add;
LutFn Lut;
Pool2DFn AveragePool2D;
Pool2DFn MaxPool2D;
RequantizeFn Requantize;
DotPixelsFn DotPixels;
SumPixelsFn SumPixels;
using reference::DepthToSpace;
using reference::Difference;
using reference::GatherChannels;
using reference::Product;
using reference::ResizeBilinear;
using reference::ResizeNearest;

// One kernel of each op has all widths, and takes every call.
template <int, int>
inline constexpr Conv2DFn& Conv2DOf = Conv2D;
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

inline constexpr Kernels kKernels = {
    Conv2D,        Conv2DScratchBytes, DepthwiseConv2D, DepthwiseConv2DScratchBytes,
    Add,           AveragePool2D,      MaxPool2D,       Requantize,
    Lut,           SumPixels,          DotPixels,       GatherChannels,
    ResizeNearest, DepthToSpace,       ResizeBilinear,  Product,
    Difference,    reference::RareOp};

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_KERNELS_H_
