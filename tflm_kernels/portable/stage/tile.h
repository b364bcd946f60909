// portable/stage/tile.h - a tile as it runs: where its parts of the maps stand, and how kernels see them.
//
// Source   written from docs/format.md F4.
#ifndef TFLM_KERNELS_PORTABLE_STAGE_TILE_H_
#define TFLM_KERNELS_PORTABLE_STAGE_TILE_H_

#include <stdint.h>

#include "tflm_kernels/portable/ops/kernels.h"
#include "tflm_kernels/portable/stage/program.h"
#include "tflm_kernels/portable/stage/regions.h"
#include "tflm_kernels/portable/stage/run.h"

namespace quantmcu {

struct Tile {
  const PatchStageParams& params;
  const Kernels& kernels;
  const StageInput& x;
  uint8_t* scratch;
  uint8_t* kernel_scratch;
  uint8_t* y;
  int32_t patch_class;
  Region regions[kMaxStageMaps];
};

// Before a tile's class is chosen only X is asked for, which has one format in all classes.
inline const StageFormat& FormatOf(const Tile& tile, int32_t map) {
  return FormatOf(tile.params, Max(tile.patch_class, 0), map);
}

inline bool IsInScratch(const Tile& tile, int32_t map) {
  return FormatOf(tile, map).scratch_offset >= 0;
}

inline int32_t PixelBytes(const Tile& tile, int32_t map) {
  return RunBytes(tile.params.maps[map].channels, FormatOf(tile, map).bits);
}

inline FeatureMap View(const Tile& tile, int32_t map, int32_t height, int32_t width) {
  const StageFormat& format = FormatOf(tile, map);
  const StageMap& shape = tile.params.maps[map];
  const int32_t row_pixels =
      format.scratch_offset >= 0 ? Length(tile.regions[map].columns) : shape.width;
  return {height,         width,
          shape.channels, row_pixels * RunBytes(shape.channels, format.bits),
          format.bits,    format.zero_point};
}

// The tile's region of a map, as a kernel reads it.
inline FeatureMap InputView(const Tile& tile, int32_t map) {
  const Region& region = tile.regions[map];
  return View(tile, map, Length(region.rows), Length(region.columns));
}

// The part of it that the tile computes.
inline FeatureMap OutputView(const Tile& tile, int32_t map) {
  const Region& region = tile.regions[map];
  return View(tile, map, FreshLength(region.rows), FreshLength(region.columns));
}

// Where a map stands that the stage reads whole in memory.
inline const uint8_t* InMemory(const Tile& tile, int32_t map) {
  return map == 0 ? tile.x.map : tile.x.others[map - 1];
}

// Where the region stands that `view` is of.
inline const uint8_t* InputData(const Tile& tile, int32_t map, const FeatureMap& view) {
  const int32_t offset = FormatOf(tile, map).scratch_offset;
  if (offset >= 0) return tile.scratch + offset;
  const Region& region = tile.regions[map];
  return InMemory(tile, map) + PixelOffset(view, region.rows.begin, region.columns.begin);
}

// An input's region may be larger than the output's, when another op needs more of it.
inline const uint8_t* SamePlace(const Tile& tile, const StageOp& op, int32_t map,
                                const FeatureMap& view) {
  const Region& input = tile.regions[map];
  const Region& output = tile.regions[op.output];
  return InputData(tile, map, view) + PixelOffset(view, output.rows.fresh - input.rows.begin,
                                                  output.columns.fresh - input.columns.begin);
}

// Where the part of it stands that the tile computes.
inline uint8_t* OutputData(const Tile& tile, int32_t map, const FeatureMap& view) {
  const int32_t offset = FormatOf(tile, map).scratch_offset;
  const Region& region = tile.regions[map];
  if (offset < 0) return tile.y + PixelOffset(view, region.rows.fresh, region.columns.fresh);
  return tile.scratch + offset +
         PixelOffset(view, HaloLength(region.rows), HaloLength(region.columns));
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_TILE_H_
