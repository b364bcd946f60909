// cortex_m/plain/is_fast.h - which calls the plain kernels take themselves; the others run on the reference. A host
// asks what a core will run, so that a project links no more.
#ifndef TFLM_KERNELS_CORTEX_M_PLAIN_IS_FAST_H_
#define TFLM_KERNELS_CORTEX_M_PLAIN_IS_FAST_H_

#include <stdint.h>

#include "tflm_kernels/portable/ops/add.h"
#include "tflm_kernels/portable/ops/conv2d.h"
#include "tflm_kernels/portable/ops/depthwise_conv2d.h"
#include "tflm_kernels/portable/ops/fully_connected.h"

namespace quantmcu {
namespace plain {

constexpr int32_t kMaxTaps = 49;  // of a depthwise convolution

inline bool IsFast(const Conv2DParams&) { return true; }

inline bool IsFast(const DepthwiseConv2DParams& params) {
  return params.window.kernel_height * params.window.kernel_width <= kMaxTaps;
}

inline bool IsFast(const FullyConnectedParams&) { return true; }

// Factors of inputs are at most 1.
inline bool IsFast(const AddParams& params) {
  return params.multipliers.input0.shift <= 0 && params.multipliers.input1.shift <= 0;
}

}  // namespace plain
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_PLAIN_IS_FAST_H_
