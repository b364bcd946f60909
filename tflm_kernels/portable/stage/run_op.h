// portable/stage/run_op.h - one op of a stage on one tile.
//
// Source   written from docs/format.md F4.
#ifndef TFLM_KERNELS_PORTABLE_STAGE_RUN_OP_H_
#define TFLM_KERNELS_PORTABLE_STAGE_RUN_OP_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/portable/stage/tile.h"

namespace quantmcu {

// Computes what the tile computes of the op's output; op `index` is no reduction.
void RunOp(const Tile& tile, int32_t index);

// What its kernel needs for the tile.
size_t OpScratchBytes(const Tile& tile, const StageOp& op);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_RUN_OP_H_
