// Small, not fast: what it calls takes the time.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/portable/stage/run.h"

#include "tflm_kernels/portable/law/limits.h"
#include "tflm_kernels/portable/stage/halo.h"
#include "tflm_kernels/portable/stage/outliers.h"
#include "tflm_kernels/portable/stage/reduction.h"
#include "tflm_kernels/portable/stage/regions.h"
#include "tflm_kernels/portable/stage/run_op.h"
#include "tflm_kernels/portable/stage/tile.h"

namespace quantmcu {
namespace {

// Gives a map's region all of its pixels: what was kept, and by `compute` what is fresh, which returns
// whether it could.
template <typename Compute>
bool Fill(const Tile& tile, int32_t map, Compute compute) {
  const StageMap& shape = tile.params.maps[map];
  const Region region = RegionOf(tile, map);
  if (IsEmpty(region)) return true;
  if (shape.left_columns == 0 && shape.top_rows == 0)
    return compute();  // it keeps nothing, so all is fresh
  const StageFormat& format = FormatOf(tile, map);
  const int32_t pixel_bytes = RunBytes(shape.channels, format.bits);
  uint8_t* buffer = tile.scratch + format.scratch_offset;
  LoadHalo(shape, region, pixel_bytes, tile.scratch, buffer);
  if (!IsKept(region) && !compute()) return false;
  SaveHalo(shape, region, pixel_bytes, buffer, tile.scratch);
  return true;
}

bool ReadInput(const Tile& tile) {
  FeatureMap view;
  uint8_t* pixels = FindOutput(tile, 0, &view);
  return tile.x.reader.read(
      tile.x.reader.context,
      {tile.rows[0].fresh, tile.columns[0].fresh, view.height, view.width, view.row_bytes, pixels});
}

// The tile's part of the sums that Y is made of.
void Reduce(const Tile& tile) {
  const PatchStageParams& params = tile.params;
  const int32_t map = TiledMap(params);
  const StageFormat& format = FormatOf(tile, map + 1);
  auto* sums = reinterpret_cast<int32_t*>(tile.scratch + format.scratch_offset);
  FeatureMap input;
  const uint8_t* pixels = FindInput(tile, map, &input);
  AddToSums(params, tile.kernels, input, tile.rows[map].begin, tile.columns[map].begin, pixels,
            sums);
}

// Returns false if the reader failed.
bool RunTile(Tile* running) {
  const Tile& tile = *running;
  if (IsStreamed(tile.params) && !Fill(tile, 0, [&] { return ReadInput(tile); })) return false;
  if (tile.patch_class == kChosenAtRunTime) {
    FeatureMap view;
    const uint8_t* pixels = FindInput(tile, 0, &view);
    SetClass(running, HasOutliers(tile.params.header, view, pixels) ? 0 : 1);
  }
  const int32_t num_ops = NumTiledOps(tile.params);
  for (int32_t i = 0; i < num_ops; ++i) {
    Fill(tile, tile.params.ops[i].output, [&] {
      RunOp(tile, i);
      return true;
    });
  }
  if (EndsInReduction(tile.params)) Reduce(tile);
  return true;
}

// The most that one kernel needs for a tile.
int32_t LargestKernelScratch(const Tile& tile) {
  int32_t bytes = 0;
  for (int32_t i = 0; i < NumTiledOps(tile.params); ++i) {
    const StageOp& op = tile.params.ops[i];
    if (IsKept(RegionOf(tile, op.output))) continue;
    bytes = Max(bytes, static_cast<int32_t>(OpScratchBytes(tile, op)));
  }
  return bytes;
}

// Calls visit(tile) for all tiles, in order, as long as it returns true.
template <typename Visit>
bool ForEachTile(Tile* tile, Visit visit) {
  const PatchStageParams& params = tile->params;
  Span spans[kNumSpans];
  const Priming priming = PrimingOf(params, spans);
  return ForEachTile(params, priming, [&](int32_t row, int32_t column, int32_t nearest) {
    Enter(tile, priming, {row, column, nearest}, spans, kNumSpans);
    return visit(tile);
  });
}

size_t MapScratchBytes(const PatchStageParams& params) {
  int32_t bytes = 0;
  const int32_t num_formats = params.header.num_classes * params.header.num_maps;
  for (int32_t i = 0; i < num_formats; ++i) {
    bytes = Max(bytes, params.formats[i].scratch_offset + params.formats[i].scratch_bytes);
  }
  for (int32_t m = 0; m < params.header.num_maps; ++m) {
    const StageMap& map = params.maps[m];
    bytes = Max(bytes, Max(map.left_offset + map.left_bytes, map.top_offset + map.top_bytes));
  }
  return static_cast<size_t>(bytes);
}

size_t KernelScratchOffset(const PatchStageParams& params) {
  return (MapScratchBytes(params) + 3) / 4 * 4;
}

// `may_go_on` is asked before each tile.
template <typename MayGoOn>
Status RunStage(const PatchStageParams& params, const Kernels& kernels, const StageInput& x,
                uint8_t* scratch, uint8_t* y, MayGoOn may_go_on) {
  Tile tile = {params, kernels, x, scratch, scratch + KernelScratchOffset(params), y};
  if (EndsInReduction(params)) ClearSums(params, scratch);
  Status status = Status::kOk;
  ForEachTile(&tile, [&](Tile* at) {
    if (!may_go_on()) {
      status = Status::kStopped;
    } else if (!RunTile(at)) {
      status = Status::kReaderFailed;
    }
    return status == Status::kOk;
  });
  if (status == Status::kOk && EndsInReduction(params)) FinishReduction(params, scratch, y);
  return status;
}

}  // namespace

size_t PatchStageScratchBytes(const PatchStageParams& params, const Kernels& kernels) {
  const StageInput no_input(nullptr);
  Tile tile = {params, kernels, no_input, nullptr, nullptr, nullptr};
  int32_t kernel_bytes = 0;
  ForEachTile(&tile, [&](Tile* at) {
    const int32_t patch_class = at->patch_class;
    const int32_t last_class = patch_class == kChosenAtRunTime ? 1 : patch_class;
    for (int32_t k = Max(patch_class, 0); k <= last_class; ++k) {
      SetClass(at, k);
      kernel_bytes = Max(kernel_bytes, LargestKernelScratch(*at));
    }
    return true;
  });
  if (kernel_bytes == 0) return MapScratchBytes(params);
  return KernelScratchOffset(params) + static_cast<size_t>(kernel_bytes);
}

Status PatchStage(const PatchStageParams& params, const Kernels& kernels, const StageInput& x,
                  uint8_t* scratch, uint8_t* y) {
  return RunStage(params, kernels, x, scratch, y, [] { return true; });
}

Status PatchStageWithHook(const PatchStageParams& params, const Kernels& kernels,
                          const StageInput& x, uint8_t* scratch, uint8_t* y, const Hook& hook,
                          int32_t op) {
  Progress next = {op, -1};
  return RunStage(params, kernels, x, scratch, y, [&] {
    ++next.tile;
    return hook.call == nullptr || hook.call(hook.context, next);
  });
}

Status PatchStageStep(const PatchStageParams& params, const Kernels& kernels, const StageInput& x,
                      uint8_t* scratch, uint8_t* y, StageState* state, Span* spans,
                      int32_t num_spans) {
  Tile tile = {params, kernels, x, scratch, scratch + KernelScratchOffset(params), y};
  if (!state->has_begun) {
    const Priming priming = PrimingOf(params, spans);
    *state = {1, -priming.rows, -priming.columns, priming};
    if (EndsInReduction(params)) ClearSums(params, scratch);
  }
  const int32_t num_columns = NumTileColumns(params);
  const int32_t nearest = Max(state->row, 0) * num_columns + Max(state->column, 0);
  Enter(&tile, state->priming, {state->row, state->column, nearest}, spans, num_spans);
  const bool is_read = RunTile(&tile);
  if (++state->column == num_columns) {
    state->column = -state->priming.columns;
    ++state->row;
  }
  if (is_read && state->row < NumTileRows(params)) return Status::kMore;
  *state = {};
  if (!is_read) return Status::kReaderFailed;
  if (EndsInReduction(params)) FinishReduction(params, scratch, y);
  return Status::kOk;
}

}  // namespace quantmcu
