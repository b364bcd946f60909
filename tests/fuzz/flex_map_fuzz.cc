// Any bytes as an op's custom_options: no step outside of them, and texts end inside.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tflm_kernels/micro/flex_map.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using quantmcu::FlexMap;
  using quantmcu::FlexValue;
  const std::vector<uint8_t> buffer(
      data, data + size);  // exactly its size, so that asan sees a step outside
  const FlexMap map(buffer.data(), buffer.size());
  for (const char* key : {"version", "tile_height", "cache_mode", "integer", "a", ""}) {
    const FlexValue value = map.Find(key);
    if (value.kind == FlexValue::kString && std::strlen(value.text) >= size) std::abort();
    if (!map.is_valid() && value.kind != FlexValue::kMissing) std::abort();
  }
  return 0;
}
