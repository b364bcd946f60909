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
  const Span* rows = nullptr;     // [TiledMap(params) + 1]
  const Span* columns = nullptr;  // the same
  int32_t patch_class = 0;
  // Of its class; of class 0 before that is chosen: then only X is asked for, which has one format in all classes.
  const StageFormat* formats = nullptr;
};

void SetClass(Tile* tile, int32_t patch_class);

// As of ForEachTile in regions.h.
struct TilePlace {
  int32_t row;
  int32_t column;
  int32_t nearest;
};

// Makes it the tile of a place; `spans` as of ComputeRegions.
void Enter(Tile* tile, const Priming& priming, const TilePlace& place, Span* spans,
           int32_t num_spans);

inline Region RegionOf(const Tile& tile, int32_t map) {
  return {tile.rows[map], tile.columns[map]};
}

inline const StageFormat& FormatOf(const Tile& tile, int32_t map) { return tile.formats[map]; }

// Where a map stands that the stage reads whole in memory.
inline const uint8_t* InMemory(const Tile& tile, int32_t map) {
  return map == 0 ? tile.x.map : tile.x.others[map - 1];
}

// Each of these makes `view` a part of a map, as a kernel sees it, and returns where that stands.

// The tile's region.
const uint8_t* FindInput(const Tile& tile, int32_t map, FeatureMap* view);

// Of it, what begins where the op's output begins that the tile computes: another op may need more of an input.
const uint8_t* FindSamePlace(const Tile& tile, const StageOp& op, int32_t map, FeatureMap* view);

// What the tile computes.
uint8_t* FindOutput(const Tile& tile, int32_t map, FeatureMap* view);

// The views alone, of a tile without memory; they return how far behind its beginning the part stands.
int32_t SeeInput(const Tile& tile, int32_t map, FeatureMap* view);
int32_t SeeOutput(const Tile& tile, int32_t map, FeatureMap* view);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_TILE_H_
