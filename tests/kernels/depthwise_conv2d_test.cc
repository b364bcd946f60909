#include "tflm_kernels/portable/ops/depthwise_conv2d.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "tests/kernels/convolution_cases.h"
#include "tests/kernels/naive.h"

namespace quantmcu {
namespace {

void Compare(const WindowCase& c, int32_t input_channels, int32_t depth_multiplier,
             int32_t input_bits, int32_t weight_bits, naive::Random* random) {
  const int32_t channels = input_channels * depth_multiplier;
  const int32_t output_bits = random->Of(naive::kBits);
  const int32_t taps = c.window.kernel_height * c.window.kernel_width;
  const naive::Map input = naive::RandomMap(c.height, c.width, input_channels, input_bits, random);
  naive::Map output =
      naive::RandomMap(c.output_height, c.output_width, channels, output_bits, random);
  const naive::Filter filter = naive::RandomFilter(taps, channels, weight_bits, random);
  const std::vector<int32_t> table =
      naive::RandomTable(channels, taps, input_bits, weight_bits, output_bits, random);
  const Clamp clamp = naive::RandomClamp(output_bits, output.zero_point, random);
  naive::DepthwiseConv2D(input, filter, table, c.window, clamp, &output);

  const DepthwiseConv2DParams params = {input.View(), output.View(), c.window,
                                        clamp,        weight_bits,   depth_multiplier};
  std::vector<uint8_t> bytes(output.Packed().size(), 0xFF);
  reference::DepthwiseConv2D(params, input.Packed().data(), filter.Packed().data(),
                             ChannelTableOf(table.data(), channels), bytes.data(), nullptr);
  naive::ExpectSameBytes(output.Packed(), bytes);
}

class DepthwiseConv2DTest : public testing::TestWithParam<std::tuple<int32_t, int32_t>> {
 protected:
  const int32_t input_bits_ = std::get<0>(GetParam());
  const int32_t weight_bits_ = std::get<1>(GetParam());
};

TEST_P(DepthwiseConv2DTest, EveryWindowEqualsTheLaw) {
  for (const WindowCase& c : kConvolutionCases) {
    naive::Random random(7);
    SCOPED_TRACE(c.name + std::string(", seed 7"));
    Compare(c, 5, 1, input_bits_, weight_bits_, &random);
  }
}

TEST_P(DepthwiseConv2DTest, EveryChannelCountAndMultiplierEqualsTheLaw) {
  for (int32_t channels : naive::kChannels) {
    for (int32_t depth_multiplier : {1, 2, 3}) {
      naive::Random random(8);
      SCOPED_TRACE(std::to_string(channels) + " channels, depth multiplier " +
                   std::to_string(depth_multiplier) + ", seed 8");
      Compare(kWindowCases[2], channels, depth_multiplier, input_bits_, weight_bits_, &random);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tags, DepthwiseConv2DTest,
                         testing::Combine(testing::ValuesIn(naive::kBits),
                                          testing::ValuesIn(naive::kBits)),
                         [](const testing::TestParamInfo<DepthwiseConv2DTest::ParamType>& info) {
                           return naive::Tag(std::get<0>(info.param), std::get<1>(info.param));
                         });

TEST(DepthwiseConv2DByHandTest, ChannelsByHand) {
  // One pixel (2, 3), depth multiplier 2: outputs 0 and 1 read 2, outputs 2 and 3 read 3.
  const uint8_t input[] = {2, 3};
  const uint8_t filter[] = {1, 10, 1, 10};
  const int32_t bias[] = {0, 0, 0, 0};
  const int32_t multiplier[] = {1 << 30, 1 << 30, 1 << 30, 1 << 30};
  const int32_t shift[] = {1, 1, 1, 1};
  uint8_t output[4];
  reference::DepthwiseConv2D(
      {{1, 1, 2, 2, 8, 0}, {1, 1, 4, 4, 8, 0}, {1, 1, 1, 1, 1, 1, 0, 0}, {-128, 127}, 8, 2}, input,
      filter, {bias, multiplier, shift}, output, nullptr);
  EXPECT_EQ(std::vector<uint8_t>(output, output + 4), (std::vector<uint8_t>{2, 20, 3, 30}));
}

}  // namespace
}  // namespace quantmcu
