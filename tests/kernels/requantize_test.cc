#include "tflm_kernels/portable/ops/requantize.h"

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

void Compare(const Pads& pads, int32_t channels, int32_t bits, naive::Random* random) {
  const int32_t output_bits = random->Of(naive::kBits);
  const naive::Map input = naive::RandomMap(4, 3, channels, bits, random);
  naive::Map output =
      naive::RandomMap(pads.output_height, pads.output_width, channels, output_bits, random);
  const FixedPoint factor = naive::RandomFactor(1 << bits, output_bits, random);
  const Clamp clamp = naive::RandomClamp(output_bits, output.zero_point, random);
  naive::Requantize(input, pads.top, pads.left, factor, clamp, &output);

  std::vector<uint8_t> bytes(output.Packed().size(), 0xFF);
  reference::Requantize({input.View(), output.View(), pads.top, pads.left, clamp, factor},
                        input.Packed().data(), bytes.data());
  naive::ExpectSameBytes(output.Packed(), bytes);
}

TEST(RequantizeTest, EveryWidthPadAndChannelCountEqualsTheLaw) {
  const Pads pads[] = {{0, 0, 4, 3}, {1, 2, 6, 7}, {-1, -1, 2, 1}, {2, -1, 3, 5}, {9, 9, 4, 4}};
  for (int32_t bits : naive::kBits) {
    for (const Pads& p : pads) {
      for (int32_t channels : naive::kChannels) {
        naive::Random random(13);
        SCOPED_TRACE("a" + std::to_string(bits) + " " + std::to_string(channels) +
                     " channels, pads " + std::to_string(p.top) + " " + std::to_string(p.left) +
                     ", seed 13");
        Compare(p, channels, bits, &random);
      }
    }
  }
}

TEST(RequantizeTest, PaddingIsTheOutputsZeroPoint) {
  // One pixel 7 (zero 1), twice as fine at the output: (7 - 1) * 2 - 5 = 7, around it -5.
  const uint8_t input = 7;
  uint8_t output[3];
  reference::Requantize({{1, 1, 1, 1, 8, 1}, {1, 3, 1, 3, 8, -5}, 0, 1, {-128, 127}, {1 << 30, 2}},
                        &input, output);
  EXPECT_EQ(static_cast<int8_t>(output[0]), -5);
  EXPECT_EQ(static_cast<int8_t>(output[1]), 7);
  EXPECT_EQ(static_cast<int8_t>(output[2]), -5);
}

}  // namespace
}  // namespace quantmcu
