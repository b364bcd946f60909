#include "tflm_kernels/portable/ops/lut.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/kernels/naive.h"

namespace quantmcu {
namespace {

struct Pads {
  int32_t top;
  int32_t left;
  int32_t output_height;
  int32_t output_width;
};

void Compare(const Pads& pads, int32_t channels, int32_t bits, int32_t output_bits, bool has_tables,
             naive::Random* random) {
  const naive::Map input = naive::RandomMap(4, 3, channels, bits, random);
  naive::Map output =
      naive::RandomMap(pads.output_height, pads.output_width, channels, output_bits, random);
  const Clamp all = {naive::QMin(output_bits), naive::QMax(output_bits)};
  const std::vector<int32_t> table = naive::RandomLut(bits, all, random, has_tables ? channels : 1);
  naive::Lut(input, pads.top, pads.left, table, &output);

  std::vector<uint8_t> bytes(output.Packed().size(), 0xFF);
  const int32_t step = has_tables ? 1 << bits : 0;
  reference::Lut({input.View(), output.View(), pads.top, pads.left, step}, input.Packed().data(),
                 naive::LutBytes(table).data(), bytes.data());
  naive::ExpectSameBytes(output.Packed(), bytes);
}

TEST(LutTest, EveryWidthPadAndChannelCountEqualsTheLaw) {
  const Pads pads[] = {{0, 0, 4, 3}, {1, 2, 6, 7}, {-1, -1, 2, 1}, {2, -1, 3, 5}, {9, 9, 4, 4}};
  for (int32_t bits : naive::kBits) {
    for (int32_t output_bits : naive::kBits) {
      for (const Pads& p : pads) {
        for (int32_t channels : naive::kChannels) {
          naive::Random random(14);
          SCOPED_TRACE("a" + std::to_string(bits) + " to a" + std::to_string(output_bits) + ", " +
                       std::to_string(channels) + " channels, pads " + std::to_string(p.top) + " " +
                       std::to_string(p.left) + ", seed 14");
          for (bool has_tables : {false, true}) {
            Compare(p, channels, bits, output_bits, has_tables, &random);
          }
        }
      }
    }
  }
}

TEST(LutTest, TheLowestValueHasTheFirstEntry) {
  // docs/arithmetic.md A18: 2 bits -2, -1, 0, 1 to 5, -3, 0, 7 of 4 bits; beside them the zero point 2.
  const uint8_t table[] = {5, 0xFD, 0, 7};
  const uint8_t input = 0x4E;  // -2, -1, 0, 1
  uint8_t output[4];
  reference::Lut({{1, 1, 4, 1, 2, 0}, {1, 2, 4, 4, 4, 2}, 0, 1, 0}, &input, table, output);
  EXPECT_EQ(std::vector<uint8_t>(output, output + 4),
            (std::vector<uint8_t>{0x22, 0x22, 0xD5, 0x70}));
}

}  // namespace
}  // namespace quantmcu
