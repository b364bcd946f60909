// portable/patch_stage_regions.h - which part of every map a tile needs.
//
// A region is an interval of rows and one of columns, which do not depend on each other. An op whose
// output region has an empty interval does not run.
// Source   written from docs/format.md F4, "Regions".
#ifndef TFLM_KERNELS_PORTABLE_PATCH_STAGE_REGIONS_H_
#define TFLM_KERNELS_PORTABLE_PATCH_STAGE_REGIONS_H_

#include <stdint.h>

#include "tflm_kernels/portable/patch_stage.h"

namespace quantmcu {

inline int32_t Min(int32_t a, int32_t b) { return a < b ? a : b; }
inline int32_t Max(int32_t a, int32_t b) { return a > b ? a : b; }

// [begin, end); bounds are at most kMaxExtent, so they fit int16. Empty: [0, 0).
struct Interval {
  int16_t begin;
  int16_t end;
};

struct Region {
  Interval rows;
  Interval columns;
};

inline int32_t Length(const Interval& interval) { return interval.end - interval.begin; }

inline bool IsEmpty(const Region& region) {
  return Length(region.rows) == 0 || Length(region.columns) == 0;
}

int32_t NumTileRows(const PatchStageParams& params);
int32_t NumTileColumns(const PatchStageParams& params);

// Fills regions[0, num_maps) for a tile, counted in row-major order.
void ComputeRegions(const PatchStageParams& params, int32_t tile, Region* regions);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_PATCH_STAGE_REGIONS_H_
