// The kernel variants of the core that is compiled for: a line each.
#ifndef TFLM_KERNELS_BENCHMARKS_VARIANTS_H_
#define TFLM_KERNELS_BENCHMARKS_VARIANTS_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/kernels.h"

namespace quantmcu {

struct Variant {
  const char* name;
  int64_t max_work;  // products of a case; larger ones are cut to fewer output rows
  Conv2DFn* conv2d;
  DepthwiseConv2DFn* depthwise_conv2d;
  FullyConnectedFn* fully_connected;
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
};

#define QUANTMCU_VARIANT(isa, max_work)                                                \
  {                                                                                    \
#isa, max_work, isa::Conv2D, isa::DepthwiseConv2D, isa::FullyConnected, isa::Add,  \
        isa::AveragePool2D, isa::MaxPool2D, isa::Requantize, isa::Lut, isa::SumPixels, \
        isa::DotPixels, isa::GatherChannels, isa::ResizeNearest, isa::DepthToSpace,    \
        isa::ResizeBilinear, isa::Product, isa::Difference                             \
  }

// With QUANTMCU_FASTEST_VARIANT only the last one.
constexpr Variant kVariants[] = {
#if !defined(QUANTMCU_FASTEST_VARIANT) || !defined(__arm__)
    QUANTMCU_VARIANT(reference, 400'000),
#endif
#if defined(__ARM_FEATURE_MVE)
    QUANTMCU_VARIANT(mve, INT64_MAX),
#elif defined(__ARM_FEATURE_DSP)
    QUANTMCU_VARIANT(dsp, INT64_MAX),
#elif defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
    QUANTMCU_VARIANT(plain, 1'000'000),
#endif
};

#undef QUANTMCU_VARIANT

}  // namespace quantmcu

#endif  // TFLM_KERNELS_BENCHMARKS_VARIANTS_H_
