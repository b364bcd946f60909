// portable/stage/check_kernels.h - whether a table of kernels has those that an op of a stage runs.
#ifndef TFLM_KERNELS_PORTABLE_STAGE_CHECK_KERNELS_H_
#define TFLM_KERNELS_PORTABLE_STAGE_CHECK_KERNELS_H_

#include <stdint.h>

#include "tflm_kernels/portable/ops/kernels.h"
#include "tflm_kernels/portable/stage/program.h"

namespace quantmcu {

// `kind` is one of StageOpKind, or any other number, for which there is none.
bool HasKernel(const Kernels& kernels, int32_t kind);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_CHECK_KERNELS_H_
