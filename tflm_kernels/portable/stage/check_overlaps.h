// portable/stage/check_overlaps.h - a part of ReadPatchStageProgram. A tile's buffers live while the tile
// runs, each from the op that writes it to the last one that reads it; halos and sums live all the time.
#ifndef TFLM_KERNELS_PORTABLE_STAGE_CHECK_OVERLAPS_H_
#define TFLM_KERNELS_PORTABLE_STAGE_CHECK_OVERLAPS_H_

#include "tflm_kernels/portable/stage/read_program.h"

namespace quantmcu {

// Checks that what stands in scratch at the same time shares no bytes.
bool CheckOverlaps(const PatchStageParams& params, StageError* error);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_CHECK_OVERLAPS_H_
