// portable/stage/check_ops.h - the part of ReadPatchStageProgram that does not depend on classes.
#ifndef TFLM_KERNELS_PORTABLE_STAGE_CHECK_OPS_H_
#define TFLM_KERNELS_PORTABLE_STAGE_CHECK_OPS_H_

#include <stdint.h>

#include "tflm_kernels/portable/stage/read_program.h"

namespace quantmcu {

// Checks the ops: kinds, order, kernels, windows, shapes, filters. Relies on checked counts and maps.
bool CheckOps(const PatchStageParams& params, const Kernels& kernels, int32_t num_filter_bytes,
              StageError* error);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_CHECK_OPS_H_
