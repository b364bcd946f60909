#include "tflm_kernels/portable/stage/stored_map.h"

#include <string.h>

namespace quantmcu {

bool ReadStoredMap(void* context, const InputRegion& region) {
  const auto& map = *static_cast<const StoredMap*>(context);
  const uint8_t* source = map.pixels + (region.y * map.width + region.x) * map.pixel_bytes;
  for (int32_t row = 0; row < region.height; ++row) {
    memcpy(region.pixels + row * region.row_bytes, source + row * map.width * map.pixel_bytes,
           static_cast<size_t>(region.width * map.pixel_bytes));
  }
  return true;
}

InputReader ReaderOf(const StoredMap& map) {
  // Every reader's context is what its function makes of it; this one only reads.
  return {ReadStoredMap, const_cast<StoredMap*>(&map)};
}

}  // namespace quantmcu
