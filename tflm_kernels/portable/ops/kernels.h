// portable/ops/kernels.h - which variant of each op a patch stage runs.
//
// reference::kKernels is the definition; tables of fast variants stand beside those (cortex_m). Each
// kernel equals the reference in every byte, so the choice changes instructions and scratch only.
// A table of one's own links just what it names: whatever no stage runs may be null.
#ifndef TFLM_KERNELS_PORTABLE_OPS_KERNELS_H_
#define TFLM_KERNELS_PORTABLE_OPS_KERNELS_H_

#include "tflm_kernels/portable/ops/add.h"
#include "tflm_kernels/portable/ops/average_pool2d.h"
#include "tflm_kernels/portable/ops/conv2d.h"
#include "tflm_kernels/portable/ops/depth_to_space.h"
#include "tflm_kernels/portable/ops/depthwise_conv2d.h"
#include "tflm_kernels/portable/ops/difference.h"
#include "tflm_kernels/portable/ops/gather_channels.h"
#include "tflm_kernels/portable/ops/lut.h"
#include "tflm_kernels/portable/ops/max_pool2d.h"
#include "tflm_kernels/portable/ops/pixel_sums.h"
#include "tflm_kernels/portable/ops/product.h"
#include "tflm_kernels/portable/ops/requantize.h"
#include "tflm_kernels/portable/ops/resize_bilinear.h"
#include "tflm_kernels/portable/ops/resize_nearest.h"

namespace quantmcu {

struct StageOp;
struct Tile;

// Runs an op of a stage of one of the kinds that few networks have (stage/rare_op.cc).
using RareOpFn = void(const Tile& tile, const StageOp& op, const int32_t* table);

namespace reference {
RareOpFn RareOp;
}

// The ops that need scratch stand with the function that says how much.
struct Kernels {
  Conv2DFn* conv2d;
  Conv2DScratchBytesFn* conv2d_scratch_bytes;
  DepthwiseConv2DFn* depthwise_conv2d;
  DepthwiseConv2DScratchBytesFn* depthwise_conv2d_scratch_bytes;
  AddFn* add;
  Pool2DFn* average_pool2d;
  Pool2DFn* max_pool2d;
  RequantizeFn* requantize;
  LutFn* lut;
  SumPixelsFn* sum_pixels;
  DotPixelsFn* dot_pixels;
  GatherChannelsFn* gather_channels;
  ResizeNearestFn* resize_nearest;
  DepthToSpaceFn* depth_to_space;
  ResizeBilinearFn* resize_bilinear;
  ProductFn* product;
  AddFn* difference;
  // reference::RareOp where a table names one of the kernels that it runs, gather_channels to product.
  // Named by the table, not found here: with -fno-delete-null-pointer-checks a function's address is no constant that
  // is compared with null.
  RareOpFn* rare_op;
};

namespace reference {
inline constexpr Kernels kKernels = {
    Conv2D,        Conv2DScratchBytes, DepthwiseConv2D, DepthwiseConv2DScratchBytes,
    Add,           AveragePool2D,      MaxPool2D,       Requantize,
    Lut,           SumPixels,          DotPixels,       GatherChannels,
    ResizeNearest, DepthToSpace,       ResizeBilinear,  Product,
    Difference,    reference::RareOp};
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_KERNELS_H_
