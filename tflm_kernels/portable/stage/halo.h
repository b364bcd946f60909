// portable/stage/halo.h - what a map keeps between tiles, moved into and out of a tile's buffer.
//
// A tile's buffer holds the map's whole region, densely; its fresh part is computed, the rest comes
// from here. The left store holds the last columns of the tile before, a row of `left_columns`
// pixels for each row of the region, the last column at its end. The top store holds the last rows
// of the row of tiles before, over the map's width, the last row at its end.
// Source   written from docs/format.md F4, "Halos".
#ifndef TFLM_KERNELS_PORTABLE_STAGE_HALO_H_
#define TFLM_KERNELS_PORTABLE_STAGE_HALO_H_

#include <stdint.h>

#include "tflm_kernels/portable/stage/regions.h"

namespace quantmcu {

// Fills the part of `tile` that was kept.
void LoadHalo(const StageMap& map, const Region& region, int32_t pixel_bytes,
              const uint8_t* scratch, uint8_t* tile);

// Keeps what later tiles read again; the halo has been loaded and the fresh part computed.
void SaveHalo(const StageMap& map, const Region& region, int32_t pixel_bytes, const uint8_t* tile,
              uint8_t* scratch);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_HALO_H_
