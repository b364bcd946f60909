// portable/stage/checks.h - what the parts of ReadPatchStageProgram share.
#ifndef TFLM_KERNELS_PORTABLE_STAGE_CHECKS_H_
#define TFLM_KERNELS_PORTABLE_STAGE_CHECKS_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/limits.h"
#include "tflm_kernels/portable/stage/read_program.h"

namespace quantmcu {

constexpr int32_t kAlignment = 4;  // bytes; of filters and of maps in scratch

inline bool Require(bool is_met, const StageError& otherwise, StageError* error) {
  if (!is_met) *error = otherwise;
  return is_met;
}

inline bool IsConvolution(const StageOp& op) {
  return op.kind == kStageConv2D || op.kind == kStageDepthwiseConv2D;
}

inline bool HasFilter(const StageOp& op) {
  return IsConvolution(op) || op.kind == kStageFullyConnected;
}

// Of an op with a filter: the pixels that one output value is made of.
inline int64_t NumTaps(const PatchStageParams& params, const StageOp& op) {
  const StageMap& input = params.maps[op.input0];
  return op.kind == kStageFullyConnected
             ? input.height * input.width
             : SaturatingProduct(op.window.kernel_height, op.window.kernel_width);
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_CHECKS_H_
