#include "tflm_kernels/portable/ops/conv2d.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "tests/kernels/convolution_cases.h"
#include "tests/kernels/naive.h"

namespace quantmcu {
namespace {

std::vector<uint8_t> RunConv2D(const naive::Map& input, const naive::Filter& filter,
                               const std::vector<int32_t>& table, const Window& window,
                               const Clamp& clamp, const naive::Map& output) {
  const Conv2DParams params = {input.View(), output.View(), window, clamp, filter.bits};
  std::vector<uint8_t> bytes(output.Packed().size(), 0xFF);
  reference::Conv2D(params, input.Packed().data(), filter.Packed().data(),
                    ChannelTableOf(table.data(), output.channels), bytes.data(), nullptr);
  return bytes;
}

void Compare(const WindowCase& c, int32_t input_channels, int32_t output_channels,
             int32_t input_bits, int32_t weight_bits, bool has_extreme_table,
             naive::Random* random) {
  const int32_t output_bits = random->Of(naive::kBits);
  const int32_t taps = c.window.kernel_height * c.window.kernel_width;
  const naive::Map input = naive::RandomMap(c.height, c.width, input_channels, input_bits, random);
  naive::Map output =
      naive::RandomMap(c.output_height, c.output_width, output_channels, output_bits, random);
  const naive::Filter filter =
      naive::RandomFilter(output_channels * taps, input_channels, weight_bits, random);
  std::vector<int32_t> table = naive::RandomTable(output_channels, taps * input_channels,
                                                  input_bits, weight_bits, output_bits, random);
  if (has_extreme_table) {
    for (int32_t o = 0; o < output_channels; ++o) {
      table[o] = random->Of({-(1 << 30), 1 << 30});
      table[output_channels + o] = random->Of({0, 1 << 30, std::numeric_limits<int32_t>::max()});
      table[2 * output_channels + o] = random->Uniform(-31, 30);
    }
  }
  const Clamp clamp = naive::RandomClamp(output_bits, output.zero_point, random);
  naive::Conv2D(input, filter, table, c.window, clamp, &output);
  naive::ExpectSameBytes(output.Packed(), RunConv2D(input, filter, table, c.window, clamp, output));
}

class Conv2DTest : public testing::TestWithParam<std::tuple<int32_t, int32_t>> {
 protected:
  const int32_t input_bits_ = std::get<0>(GetParam());
  const int32_t weight_bits_ = std::get<1>(GetParam());
};

TEST_P(Conv2DTest, EveryWindowEqualsTheLaw) {
  for (const WindowCase& c : kConvolutionCases) {
    naive::Random random(4);
    SCOPED_TRACE(c.name + std::string(", seed 4"));
    Compare(c, 5, 3, input_bits_, weight_bits_, false, &random);
  }
}

TEST_P(Conv2DTest, EveryChannelCountEqualsTheLaw) {
  for (int32_t channels : naive::kChannels) {
    naive::Random random(5);
    SCOPED_TRACE(std::to_string(channels) + " channels, seed 5");
    Compare(kWindowCases[2], channels, 3, input_bits_, weight_bits_, false, &random);
    Compare(kWindowCases[2], 2, channels, input_bits_, weight_bits_, false, &random);
  }
}

TEST_P(Conv2DTest, ExtremeTablesEqualTheLaw) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    naive::Random random(seed);
    SCOPED_TRACE("seed " + std::to_string(seed));
    Compare(kWindowCases[2], 9, 8, input_bits_, weight_bits_, true, &random);
  }
}

INSTANTIATE_TEST_SUITE_P(Tags, Conv2DTest,
                         testing::Combine(testing::ValuesIn(naive::kBits),
                                          testing::ValuesIn(naive::kBits)),
                         [](const testing::TestParamInfo<Conv2DTest::ParamType>& info) {
                           return naive::Tag(std::get<0>(info.param), std::get<1>(info.param));
                         });

TEST(Conv2DByHandTest, SumsByHand) {
  // 2x2 input 1 2 / 3 4, 2x2 kernel of ones, SAME: pads go to the bottom and right.
  const naive::Map input = {2, 2, 1, 8, 0, {1, 2, 3, 4}};
  const naive::Filter ones = {8, 1, {1, 1, 1, 1}};
  const naive::Map output = naive::EmptyMap(2, 2, 1, 8, 5);
  const std::vector<uint8_t> sums =
      RunConv2D(input, ones, {100, 1 << 30, 1}, {2, 2, 1, 1, 1, 1, 0, 0}, {-128, 127}, output);
  EXPECT_EQ(sums, (std::vector<uint8_t>{115, 111, 112, 109}));
}

TEST(Conv2DByHandTest, ReadsAndWritesViewsInPlace) {
  // The 2x2 view at (1, 1) of a 4x4 map: the other pixels must neither count nor change.
  naive::Random random(6);
  const naive::Map whole = naive::RandomMap(4, 4, 3, 4, &random);
  naive::Map part = naive::EmptyMap(2, 2, 3, 4, whole.zero_point);
  for (int32_t y = 0; y < 2; ++y) {
    for (int32_t x = 0; x < 2; ++x) {
      for (int32_t c = 0; c < 3; ++c) part.At(y, x, c) = whole.At(y + 1, x + 1, c);
    }
  }
  const Window window = {3, 3, 1, 1, 1, 1, 1, 1};
  const naive::Filter filter = naive::RandomFilter(3 * 9, 3, 4, &random);
  const std::vector<int32_t> table = naive::RandomTable(3, 27, 4, 4, 4, &random);
  naive::Map expected = naive::EmptyMap(2, 2, 3, 4, 0);
  naive::Conv2D(part, filter, table, window, {-8, 7}, &expected);

  FeatureMap input_view = part.View();
  FeatureMap output_view = expected.View();
  input_view.row_bytes = output_view.row_bytes = whole.View().row_bytes;
  const int32_t corner = PixelOffset(input_view, 1, 1);
  naive::Map written = naive::RandomMap(4, 4, 3, 4, &random);
  std::vector<uint8_t> bytes = written.Packed();
  reference::Conv2D({input_view, output_view, window, {-8, 7}, 4}, whole.Packed().data() + corner,
                    filter.Packed().data(), ChannelTableOf(table.data(), 3), bytes.data() + corner,
                    nullptr);
  for (int32_t y = 0; y < 2; ++y) {
    for (int32_t x = 0; x < 2; ++x) {
      for (int32_t c = 0; c < 3; ++c) written.At(y + 1, x + 1, c) = expected.At(y, x, c);
    }
  }
  naive::ExpectSameBytes(written.Packed(), bytes);
}

}  // namespace
}  // namespace quantmcu
