// portable/map_reader.h - an InputReader over a map that stands in memory: an image in flash, tests.
#ifndef TFLM_KERNELS_PORTABLE_MAP_READER_H_
#define TFLM_KERNELS_PORTABLE_MAP_READER_H_

#include <stdint.h>
#include <string.h>

#include "tflm_kernels/portable/patch_stage.h"

namespace quantmcu {

// Packed pixels [height, width], rows without gaps.
struct MapInMemory {
  const uint8_t* pixels;
  int32_t width;
  int32_t pixel_bytes;
};

// A ReadInputFn; `context` is a MapInMemory.
inline void ReadMapInMemory(void* context, const InputRegion& region) {
  const auto& map = *static_cast<const MapInMemory*>(context);
  for (int32_t i = 0; i < region.height; ++i) {
    const int32_t first = (region.y + i) * map.width + region.x;
    memcpy(region.pixels + i * region.row_bytes, map.pixels + first * map.pixel_bytes,
           static_cast<size_t>(region.width) * map.pixel_bytes);
  }
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_MAP_READER_H_
