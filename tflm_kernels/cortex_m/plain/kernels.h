// cortex_m/plain/kernels.h - the kernels of portable/ for cores without DSP (Cortex-M0+, M3): equal to `reference` in
// every byte. Each is in <op>.cc, which says what it gains and what it leaves to the reference.
//
// Memory   as in the portable header of the op.
#ifndef TFLM_KERNELS_CORTEX_M_PLAIN_KERNELS_H_
#define TFLM_KERNELS_CORTEX_M_PLAIN_KERNELS_H_

#include "tflm_kernels/cortex_m/plain/is_fast.h"
#include "tflm_kernels/portable/ops/fully_connected.h"
#include "tflm_kernels/portable/ops/kernels.h"
#include "tflm_kernels/portable/ops/widths.h"

namespace quantmcu {
namespace plain {

Conv2DFn Conv2D;
Conv2DScratchBytesFn Conv2DScratchBytes;
DepthwiseConv2DFn DepthwiseConv2D;
using reference::DepthwiseConv2DScratchBytes;
FullyConnectedFn FullyConnected;
FullyConnectedScratchBytesFn FullyConnectedScratchBytes;
AddFn Add;
LutFn Lut;
Pool2DFn AveragePool2D;
Pool2DFn MaxPool2D;
RequantizeFn Requantize;
DotPixelsFn DotPixels;
using reference::DepthToSpace;
using reference::Difference;
using reference::GatherChannels;
using reference::Product;
using reference::ResizeBilinear;
using reference::ResizeNearest;
using reference::SumPixels;

// Of one pair of widths alone, for calls that IsFast: what a project links that runs no others.
template <int kInputBits, int kWeightBits>
void Conv2DOf(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
              const ChannelTable& table, uint8_t* output, uint8_t* scratch);
template <int kInputBits, int kWeightBits>
void DepthwiseConv2DOf(const DepthwiseConv2DParams& params, const uint8_t* input,
                       const uint8_t* filter, const ChannelTable& table, uint8_t* output,
                       uint8_t* scratch);
template <int kInputBits, int kWeightBits>
void FullyConnectedOf(const FullyConnectedParams& params, const uint8_t* input,
                      const uint8_t* filter, const ChannelTable& table, uint8_t* output,
                      uint8_t* scratch);
// kBits: of all three maps, or 0 where they differ.
template <int kBits>
void AddOf(const AddParams& params, const uint8_t* input0, const uint8_t* input1, uint8_t* output);

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

}  // namespace plain
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_PLAIN_KERNELS_H_
