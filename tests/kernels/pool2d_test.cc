#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/kernels/convolution_cases.h"
#include "tests/kernels/naive.h"
#include "tflm_kernels/portable/law/limits.h"
#include "tflm_kernels/portable/ops/average_pool2d.h"
#include "tflm_kernels/portable/ops/max_pool2d.h"

namespace quantmcu {
namespace {

struct Pool {
  const char* name;
  Pool2DFn* kernel;
  void (*law)(const naive::Map&, const Window&, const FixedPoint&, const Clamp&, naive::Map*);
};

const Pool kPools[] = {
    {"average", reference::AveragePool2D, naive::AveragePool2D},
    {"max", reference::MaxPool2D, naive::MaxPool2D},
};

void Compare(const Pool& pool, const WindowCase& c, int32_t channels, int32_t bits,
             naive::Random* random) {
  const int32_t output_bits = random->Of(naive::kBits);
  const naive::Map input = naive::RandomMap(c.height, c.width, channels, bits, random);
  naive::Map output =
      naive::RandomMap(c.output_height, c.output_width, channels, output_bits, random);
  const FixedPoint factor = naive::RandomFactor(1 << bits, output_bits, random);
  const Clamp clamp = naive::RandomClamp(output_bits, output.zero_point, random);
  pool.law(input, c.window, factor, clamp, &output);

  std::vector<uint8_t> bytes(output.Packed().size(), 0xFF);
  pool.kernel({input.View(), output.View(), c.window, clamp, factor}, input.Packed().data(),
              bytes.data());
  naive::ExpectSameBytes(output.Packed(), bytes);
}

TEST(Pool2DTest, EveryWindowAndChannelCountEqualsTheLaw) {
  for (const Pool& pool : kPools) {
    for (int32_t bits : naive::kBits) {
      for (const WindowCase& c : kWindowCases) {
        naive::Random random(11);
        SCOPED_TRACE(std::string(pool.name) + " a" + std::to_string(bits) + " " + c.name +
                     ", seed 11");
        Compare(pool, c, 5, bits, &random);
      }
      for (int32_t channels : naive::kChannels) {
        naive::Random random(12);
        SCOPED_TRACE(std::string(pool.name) + " a" + std::to_string(bits) + " " +
                     std::to_string(channels) + " channels, seed 12");
        Compare(pool, kWindowCases[4], channels, bits, &random);
      }
    }
  }
}

int32_t PoolOfRow(Pool2DFn* kernel, const std::vector<int8_t>& row) {
  const int32_t width = static_cast<int32_t>(row.size());
  uint8_t output;
  kernel({{1, width, 1, width, 8, -3},
          {1, 1, 1, 1, 8, -3},
          {1, width, 1, 1, 1, 1, 0, 0},
          {-128, 127},
          {1 << 30, 1}},
         reinterpret_cast<const uint8_t*>(row.data()), &output);
  return static_cast<int8_t>(output);
}

TEST(Pool2DTest, AveragesByHandRoundHalvesAway) {
  EXPECT_EQ(PoolOfRow(reference::AveragePool2D, {1, 2}), 2);
  EXPECT_EQ(PoolOfRow(reference::AveragePool2D, {-1, -2}), -2);
  EXPECT_EQ(PoolOfRow(reference::AveragePool2D, {1, 1, 2}), 1);
  EXPECT_EQ(PoolOfRow(reference::AveragePool2D, {-1, -1, -2}), -1);
  EXPECT_EQ(PoolOfRow(reference::AveragePool2D, {127, 127}), 127);
}

TEST(Pool2DTest, MaximaByHand) {
  EXPECT_EQ(PoolOfRow(reference::MaxPool2D, {-128, -7, -9}), -7);
  EXPECT_EQ(PoolOfRow(reference::MaxPool2D, {-128}), -128);
}

TEST(Pool2DTest, AveragesDivideByTheTapsInsideOnly) {
  // 2x2 map 4 8 / 12 16 under a 3x3 window, SAME: the corner pixel's window holds all four.
  const uint8_t input[] = {4, 8, 12, 16};
  uint8_t output[4];
  const FeatureMap map = {2, 2, 1, 2, 8, 0};
  reference::AveragePool2D({map, map, {3, 3, 1, 1, 1, 1, 1, 1}, {-128, 127}, {1 << 30, 1}}, input,
                           output);
  EXPECT_EQ(std::vector<uint8_t>(output, output + 4), (std::vector<uint8_t>{10, 10, 10, 10}));
}

TEST(PoolWindowFitsTest, RefusesWindowsOutsideTheInput) {
  const Window same = {3, 3, 1, 1, 1, 1, 1, 1};
  EXPECT_TRUE(PoolWindowFits(same, 4, 4, 4, 4));
  EXPECT_TRUE(PoolWindowFits(same, 4, 4, 5, 4));
  EXPECT_FALSE(PoolWindowFits(same, 4, 4, 6, 4));
  EXPECT_FALSE(PoolWindowFits(same, 4, 4, 4, 6));
  EXPECT_FALSE(PoolWindowFits({3, 3, 1, 1, 1, 1, 3, 1}, 4, 4, 4, 4));
  EXPECT_FALSE(PoolWindowFits({3, 3, 1, 1, 1, 1, 1, 3}, 4, 4, 4, 4));
  EXPECT_FALSE(PoolWindowFits({3, 3, 1, 1, 2, 1, 1, 1}, 4, 4, 4, 4));
  EXPECT_FALSE(PoolWindowFits({4096, 4096, 1, 1, 1, 1, 0, 0}, 4, 4, 1, 1));
}

}  // namespace
}  // namespace quantmcu
