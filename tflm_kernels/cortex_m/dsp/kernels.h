// cortex_m/dsp/kernels.h - the kernels of portable/ for cores with the DSP extension (Cortex-M4, M7,
// M33): equal to `reference` in every byte. Each is in <op>.cc, which says what it gains and what
// it leaves to the reference.
//
// Memory   as in the portable header of the op.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_KERNELS_H_
#define TFLM_KERNELS_CORTEX_M_DSP_KERNELS_H_

#include "tflm_kernels/cortex_m/dsp/is_fast.h"
#include "tflm_kernels/portable/ops/fully_connected.h"
#include "tflm_kernels/portable/ops/kernels.h"
#include "tflm_kernels/portable/ops/widths.h"

namespace quantmcu {
namespace dsp {

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

// Of calls that IsRegular alone, or IsWhole: less code.
Conv2DFn Conv2DRegular;
DepthwiseConv2DFn DepthwiseConv2DRegular;
DepthwiseConv2DFn DepthwiseConv2DWhole;

inline constexpr Kernels kKernels = {
    Conv2D,        Conv2DScratchBytes, DepthwiseConv2D, DepthwiseConv2DScratchBytes,
    Add,           AveragePool2D,      MaxPool2D,       Requantize,
    Lut,           SumPixels,          DotPixels,       GatherChannels,
    ResizeNearest, DepthToSpace,       ResizeBilinear,  Product,
    Difference,    reference::RareOp};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_KERNELS_H_
