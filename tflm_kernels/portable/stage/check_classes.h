// portable/stage/check_classes.h - the part of ReadPatchStageProgram that depends on classes: formats and
// tables.
#ifndef TFLM_KERNELS_PORTABLE_STAGE_CHECK_CLASSES_H_
#define TFLM_KERNELS_PORTABLE_STAGE_CHECK_CLASSES_H_

#include <stdint.h>

#include "tflm_kernels/portable/stage/read_program.h"

namespace quantmcu {

// Relies on checked ops and on what maps keep.
bool CheckClasses(const PatchStageParams& params, int32_t num_table_words, StageError* error);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_CHECK_CLASSES_H_
