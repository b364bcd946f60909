#include "tflm_kernels/portable/ops/fully_connected.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/kernels/naive.h"

namespace quantmcu {
namespace {

void Compare(int32_t inputs, int32_t outputs, int32_t input_bits, int32_t weight_bits,
             naive::Random* random) {
  const int32_t output_bits = random->Of(naive::kBits);
  const naive::Map input = naive::RandomMap(1, 1, inputs, input_bits, random);
  naive::Map output = naive::RandomMap(1, 1, outputs, output_bits, random);
  const naive::Filter filter = naive::RandomFilter(outputs, inputs, weight_bits, random);
  const std::vector<int32_t> table =
      naive::RandomTable(outputs, inputs, input_bits, weight_bits, output_bits, random);
  const Clamp clamp = naive::RandomClamp(output_bits, output.zero_point, random);
  naive::Conv2D(input, filter, table, {1, 1, 1, 1, 1, 1, 0, 0}, clamp, &output);

  std::vector<uint8_t> bytes(output.Packed().size(), 0xFF);
  reference::FullyConnected({input.View(), output.View(), clamp, weight_bits},
                            input.Packed().data(), filter.Packed().data(),
                            ChannelTableOf(table.data(), outputs), bytes.data(), nullptr);
  naive::ExpectSameBytes(output.Packed(), bytes);
}

TEST(FullyConnectedTest, EveryTagAndLengthEqualsTheLaw) {
  for (int32_t input_bits : naive::kBits) {
    for (int32_t weight_bits : naive::kBits) {
      for (int32_t length : naive::kChannels) {
        naive::Random random(9);
        SCOPED_TRACE(naive::Tag(input_bits, weight_bits) + " length " + std::to_string(length) +
                     ", seed 9");
        Compare(length, 5, input_bits, weight_bits, &random);
        Compare(6, length, input_bits, weight_bits, &random);
      }
    }
  }
}

TEST(FullyConnectedTest, ProductsByHand) {
  // (3 - 1) * 2 + (4 - 1) * -5 + 20 = 9; half of it rounds to 5.
  const uint8_t input[] = {3, 4};
  const uint8_t filter[] = {2, static_cast<uint8_t>(-5)};
  const int32_t bias = 20;
  const int32_t multiplier = 1 << 30;
  const int32_t shift = 0;
  uint8_t output;
  reference::FullyConnected({{1, 1, 2, 2, 8, 1}, {1, 1, 1, 1, 8, 0}, {-128, 127}, 8}, input, filter,
                            {&bias, &multiplier, &shift}, &output, nullptr);
  EXPECT_EQ(output, 5);
}

}  // namespace
}  // namespace quantmcu
