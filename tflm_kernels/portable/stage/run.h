// portable/stage/run.h - a region of a network run tile by tile: map 0 (X) and perhaps further maps in,
// the last map (Y) out, batch 1.
//
// For every tile of Y, in row-major order, each op computes just the region of its output that the
// tile needs and that was not kept from tiles before; regions and what is kept lie in scratch, X is
// read (or pulled from a reader, region by region) and Y is written in place. The tile's class
// chooses formats and tables. A stage may end in a reduction: then its input is cut into tiles, and
// sums of Y grow tile by tile. The result is what the same ops give on whole maps, in every byte.
// Layout   `program` and `filters` as docs/format.md F4 has them, used where they stand, in
//          flash.
// Range    all of it is checked once, by ReadPatchStageProgram; after it PatchStage fails only where a
//          reader or hook of the user's does.
// Memory   no allocation; scratch >= PatchStageScratchBytes(params, kernels), on a multiple of 4;
//          about 1.5 KB of stack; scratch, program and filters overlap nothing; program and filters
//          outlive the params. Y overlaps no further input. It may overlap X where no byte of Y, up to the last row of a row of
//          tiles, lies behind the first byte of X that this row of tiles reads.
// Source   written from docs/format.md.
#ifndef TFLM_KERNELS_PORTABLE_STAGE_RUN_H_
#define TFLM_KERNELS_PORTABLE_STAGE_RUN_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/portable/ops/kernels.h"
#include "tflm_kernels/portable/stage/input_reader.h"
#include "tflm_kernels/portable/stage/program.h"
#include "tflm_kernels/portable/stage/progress.h"
#include "tflm_kernels/portable/stage/regions.h"

namespace quantmcu {

// X: whole in memory, or to be pulled from a reader. The further inputs, maps 1 and on, stand whole in memory.
struct StageInput {
  StageInput(const uint8_t* x, const uint8_t* const* further = nullptr)  // NOLINT(runtime/explicit)
      : map(x), others(further), reader{} {}
  StageInput(const InputReader& input_reader,  // NOLINT(runtime/explicit)
             const uint8_t* const* further = nullptr)
      : map(nullptr), others(further), reader(input_reader) {}
  // Of `{address, ...}`, which lives as long as the expression that it stands in.
  template <int kCount>
  StageInput(const uint8_t* x, const uint8_t* const (&further)[kCount])
      : map(x), others(further), reader{} {}
  template <int kCount>
  StageInput(const InputReader& input_reader, const uint8_t* const (&further)[kCount])
      : map(nullptr), others(further), reader(input_reader) {}

  const uint8_t* map;
  const uint8_t* const* others;
  InputReader reader;
};

// The largest scratch_offset + scratch_bytes, 0 when the stage has no inner maps; behind it, on a
// multiple of 4, the most that one kernel needs for one tile, which is nothing with
// reference::kKernels. Work: one pass over the ops for each tile.
size_t PatchStageScratchBytes(const PatchStageParams& params, const Kernels& kernels);

// X must be a reader if IsStreamed(params), else a map: then it cannot fail.
Status PatchStage(const PatchStageParams& params, const Kernels& kernels, const StageInput& x,
                  uint8_t* scratch, uint8_t* y);

// The same with a call of `hook`, if there is one, before each tile; `op` is what it is told.
Status PatchStageWithHook(const PatchStageParams& params, const Kernels& kernels,
                          const StageInput& x, uint8_t* scratch, uint8_t* y, const Hook& hook,
                          int32_t op);

// Where a stage stands between two tiles; all zeros before the first.
struct StageState {
  int32_t has_begun;
  int32_t row;  // of the next tile
  int32_t column;
  Priming priming;
};

// Runs the next tile alone; kMore while there is one behind it, else as PatchStage. Between the calls all that it is
// given stays as it is: scratch, Y, X, the state and `spans`, of which there are 2 * (TiledMap(params) + 1) at least;
// with more, up to kNumSpans, all calls together take less time.
Status PatchStageStep(const PatchStageParams& params, const Kernels& kernels, const StageInput& x,
                      uint8_t* scratch, uint8_t* y, StageState* state, Span* spans,
                      int32_t num_spans);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_RUN_H_
