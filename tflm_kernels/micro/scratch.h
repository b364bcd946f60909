// micro/scratch.h - the scratch that ops ask TFLM for: what the kernels of the core take (scratch.cc), or on
// TFLM's Python interpreter what those of a chosen core would (python/scratch.cc).
#ifndef TFLM_KERNELS_MICRO_SCRATCH_H_
#define TFLM_KERNELS_MICRO_SCRATCH_H_

#include <stddef.h>

#include "tflm_kernels/portable/ops/conv2d.h"
#include "tflm_kernels/portable/ops/depthwise_conv2d.h"
#include "tflm_kernels/portable/ops/fully_connected.h"
#include "tflm_kernels/portable/ops/kernels.h"
#include "tflm_kernels/portable/stage/program.h"

namespace quantmcu {

size_t ScratchBytes(const Conv2DParams& params);
size_t ScratchBytes(const DepthwiseConv2DParams& params);
size_t ScratchBytes(const FullyConnectedParams& params);
// `kernels`: what the stage runs on.
size_t ScratchBytes(const PatchStageParams& params, const Kernels& kernels);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_SCRATCH_H_
