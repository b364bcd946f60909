// portable/patch_stage_regions.h - which part of every map a tile needs, and which it computes.
//
// A region is a span of rows and one of columns, which do not depend on each other. Tiles are
// visited in row-major order, since what a map keeps depends on the tiles before.
// Source   written from docs/format.md F4, "Regions".
#ifndef TFLM_KERNELS_PORTABLE_PATCH_STAGE_REGIONS_H_
#define TFLM_KERNELS_PORTABLE_PATCH_STAGE_REGIONS_H_

#include <stdint.h>

#include "tflm_kernels/portable/patch_stage.h"

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
  Span rows;
  Span columns;
};

inline int32_t Length(const Span& span) { return span.end - span.begin; }
inline int32_t FreshLength(const Span& span) { return span.end - span.fresh; }
inline int32_t HaloLength(const Span& span) { return span.fresh - span.begin; }

inline bool IsEmpty(const Region& region) {
  return Length(region.rows) == 0 || Length(region.columns) == 0;
}

// Nothing to compute: the region is empty, or all of it was kept.
inline bool IsKept(const Region& region) {
  return FreshLength(region.rows) == 0 || FreshLength(region.columns) == 0;
}

int32_t NumTileRows(const PatchStageParams& params);
int32_t NumTileColumns(const PatchStageParams& params);

// Fills regions[0, TiledMap(params)] for a tile, counted in row-major order; they hold those of the
// tile before, if there is one.
void ComputeRegions(const PatchStageParams& params, int32_t tile, Region* regions);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_PATCH_STAGE_REGIONS_H_
