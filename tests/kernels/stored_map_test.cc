#include "tflm_kernels/portable/stage/stored_map.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace quantmcu {
namespace {

TEST(StoredMapTest, CopiesJustTheRegion) {
  std::vector<uint8_t> pixels;  // 3x4 pixels of 2 bytes: 10 * row + column, and its complement
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 4; ++column) {
      pixels.push_back(static_cast<uint8_t>(10 * row + column));
      pixels.push_back(static_cast<uint8_t>(~(10 * row + column)));
    }
  }
  const StoredMap map = {pixels.data(), 4, 2};
  std::vector<uint8_t> read(12, 0x55);
  const InputReader reader = ReaderOf(map);
  reader.read(reader.context, {1, 2, 2, 2, 6, read.data()});
  EXPECT_EQ(read, (std::vector<uint8_t>{12, 243, 13, 242, 0x55, 0x55,  //
                                        22, 233, 23, 232, 0x55, 0x55}));
}

}  // namespace
}  // namespace quantmcu
