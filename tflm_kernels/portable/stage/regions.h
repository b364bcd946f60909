// portable/stage/regions.h - which part of every map a tile needs, and which it computes.
//
// A region is a span of rows and one of columns, which do not depend on each other. Tiles are
// visited in row-major order, since what a map keeps depends on the tiles before.
// Source   written from docs/format.md F4, "Regions".
#ifndef TFLM_KERNELS_PORTABLE_STAGE_REGIONS_H_
#define TFLM_KERNELS_PORTABLE_STAGE_REGIONS_H_

#include <stdint.h>

#include "tflm_kernels/portable/stage/program.h"

namespace quantmcu {

inline int32_t Min(int32_t a, int32_t b) { return a < b ? a : b; }
inline int32_t Max(int32_t a, int32_t b) { return a > b ? a : b; }

// Readers see [begin, end); [fresh, end) is computed now, the rest was kept. Bounds are at most
// kMaxExtent, so they fit int16.
struct Span {
  int16_t begin;
  int16_t fresh;
  int16_t end;
};

struct Region {
  const Span& rows;
  const Span& columns;
};

inline int32_t Length(const Span& span) { return span.end - span.begin; }
inline int32_t FreshLength(const Span& span) { return span.end - span.fresh; }
inline int32_t HaloLength(const Span& span) { return span.fresh - span.begin; }

[[gnu::always_inline]] inline bool IsEmpty(const Region& region) {
  return Length(region.rows) == 0 || Length(region.columns) == 0;
}

// Nothing to compute: the region is empty, or all of it was kept.
[[gnu::always_inline]] inline bool IsKept(const Region& region) {
  return FreshLength(region.rows) == 0 || FreshLength(region.columns) == 0;
}

// Of tiles with an index >= 0.
int32_t NumTileRows(const PatchStageParams& params);
int32_t NumTileColumns(const PatchStageParams& params);

// How many rows and columns of tiles run before those: indices -1, -2, ... They hold no pixel of the
// tiled map, but bring cached maps on their way.
struct Priming {
  int32_t rows;
  int32_t columns;
};

// kMaxPriming + 1 for what would need more. `spans` has room for TiledMap(params) + 1.
constexpr int32_t kMaxPriming = 1024;
Priming PrimingOf(const PatchStageParams& params, Span* spans);

// Of a tile; [TiledMap(params) + 1] each.
struct Regions {
  const Span* rows;
  const Span* columns;
};

// Those of the tile (row, column), in `spans`, which hold what was computed for the tile visited before; tiles are
// visited in row-major order, priming ones too. Room for 2 * (TiledMap(params) + 1) spans is enough; with more, spans
// of columns are kept from one row of tiles to the next.
Regions ComputeRegions(const PatchStageParams& params, const Priming& priming, int32_t row,
                       int32_t column, Span* spans, int32_t num_spans);

// Room for those of any stage, and more of most.
constexpr int32_t kNumSpans = 2 * kMaxStageMaps;

// Calls visit(row, column, nearest) for all tiles in the order in which they run, as long as it
// returns true; `nearest`: place in patch_classes of the tile, or of the one nearest to a priming tile.
template <typename Visit>
bool ForEachTile(const PatchStageParams& params, const Priming& priming, Visit visit) {
  const int32_t num_rows = NumTileRows(params);
  const int32_t num_columns = NumTileColumns(params);
  for (int32_t row = -priming.rows; row < num_rows; ++row) {
    for (int32_t column = -priming.columns; column < num_columns; ++column) {
      if (!visit(row, column, Max(row, 0) * num_columns + Max(column, 0))) return false;
    }
  }
  return true;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_REGIONS_H_
