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

// From row to row where the map's region stands.
inline int32_t RowBytes(const Tile& tile, int32_t map) {
  const int32_t row_pixels =
      IsInScratch(tile, map) ? Length(tile.regions[map].columns) : tile.params.maps[map].width;
  return row_pixels * PixelBytes(tile, map);
}

inline FeatureMap View(const Tile& tile, int32_t map, int32_t height, int32_t width) {
  const StageFormat& format = FormatOf(tile, map);
  return {height,           width, tile.params.maps[map].channels, RowBytes(tile, map), format.bits,
          format.zero_point};
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

// Where pixel (row, column) stands, counted from the map for inputs and Y, else from scratch.
inline int32_t OffsetOf(const Tile& tile, int32_t map, int32_t row, int32_t column) {
  int32_t offset = 0;
  if (IsInScratch(tile, map)) {
    offset = FormatOf(tile, map).scratch_offset;
    row -= tile.regions[map].rows.begin;
    column -= tile.regions[map].columns.begin;
  }
  return offset + row * RowBytes(tile, map) + column * PixelBytes(tile, map);
}

// Where a map stands that the stage reads whole in memory.
inline const uint8_t* InMemory(const Tile& tile, int32_t map) {
  return map == 0 ? tile.x.map : tile.x.others[map - 1];
}

inline const uint8_t* InputData(const Tile& tile, int32_t map) {
  const Region& region = tile.regions[map];
  return (IsInScratch(tile, map) ? tile.scratch : InMemory(tile, map)) +
         OffsetOf(tile, map, region.rows.begin, region.columns.begin);
}

inline uint8_t* OutputData(const Tile& tile, int32_t map) {
  const Region& region = tile.regions[map];
  return (IsInScratch(tile, map) ? tile.scratch : tile.y) +
         OffsetOf(tile, map, region.rows.fresh, region.columns.fresh);
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_TILE_H_
