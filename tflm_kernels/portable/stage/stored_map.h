// portable/stage/stored_map.h - an input reader over a whole feature map in memory: an image in flash, a
// frame buffer, a test's sample.
//
// Layout   rows of packed pixels, without gaps (docs/format.md F2).
// Range    every region lies inside the map.
// Memory   no allocation; the map outlives its reader and overlaps no region.
// Source   written from docs/format.md.
#ifndef TFLM_KERNELS_PORTABLE_STAGE_STORED_MAP_H_
#define TFLM_KERNELS_PORTABLE_STAGE_STORED_MAP_H_

#include <stdint.h>

#include "tflm_kernels/portable/stage/input_reader.h"

namespace quantmcu {

struct StoredMap {
  const uint8_t* pixels;
  int32_t width;
  int32_t pixel_bytes;
};

// A ReadInputFn; `context` is a const StoredMap.
ReadInputFn ReadStoredMap;

InputReader ReaderOf(const StoredMap& map);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_STORED_MAP_H_
