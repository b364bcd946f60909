// portable/patch_stage_regions.h - which part of every map a tile needs.
//
// Written from docs/format.md F4, "Regions". A region is a set of pixels: an empty one adds nothing
// to a union, and an op whose output region is empty does not run.
#ifndef TFLM_KERNELS_PORTABLE_PATCH_STAGE_REGIONS_H_
#define TFLM_KERNELS_PORTABLE_PATCH_STAGE_REGIONS_H_

#include <stdint.h>

#include "tflm_kernels/portable/patch_stage.h"

namespace quantmcu {

inline int32_t Min(int32_t a, int32_t b) { return a < b ? a : b; }
inline int32_t Max(int32_t a, int32_t b) { return a > b ? a : b; }

// Rows [y0, y1), columns [x0, x1) of a map; heights and widths fit int16 (kMaxExtent). Empty: all
// 0.
struct Region {
  int16_t y0;
  int16_t x0;
  int16_t y1;
  int16_t x1;
};

inline bool IsEmpty(const Region& region) { return region.y1 == region.y0; }
inline int32_t Height(const Region& region) { return region.y1 - region.y0; }
inline int32_t Width(const Region& region) { return region.x1 - region.x0; }

int32_t NumTileRows(const PatchStageParams& params);
int32_t NumTileColumns(const PatchStageParams& params);

// Fills regions[0, num_maps) for a tile, counted in row-major order.
void ComputeRegions(const PatchStageParams& params, int32_t tile, Region* regions);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_PATCH_STAGE_REGIONS_H_
