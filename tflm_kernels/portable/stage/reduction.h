// portable/stage/reduction.h - the last op of a stage that makes one pixel of its input: sums
// in scratch, to which every tile adds its part.
//
// Source   written from docs/format.md F4, "Reductions"; docs/arithmetic.md A3, A5, A11.
#ifndef TFLM_KERNELS_PORTABLE_STAGE_REDUCTION_H_
#define TFLM_KERNELS_PORTABLE_STAGE_REDUCTION_H_

#include <stdint.h>

#include "tflm_kernels/portable/ops/kernels.h"
#include "tflm_kernels/portable/stage/program.h"

namespace quantmcu {

void ClearSums(const PatchStageParams& params, uint8_t* scratch);

// `input` is the part of the tiled map that begins at (row, column).
void AddToSums(const PatchStageParams& params, const Kernels& kernels, const FeatureMap& input,
               int32_t row, int32_t column, const uint8_t* pixels, int32_t* sums);

// Y from the sums of all tiles.
void FinishReduction(const PatchStageParams& params, const uint8_t* scratch, uint8_t* y);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_REDUCTION_H_
