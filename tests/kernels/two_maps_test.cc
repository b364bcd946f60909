// Products and differences of two maps, beside add_test.cc.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/kernels/naive.h"
#include "tests/kernels/small_stage.h"
#include "tests/kernels/stage_builder.h"
#include "tflm_kernels/portable/ops/difference.h"
#include "tflm_kernels/portable/ops/product.h"

namespace quantmcu {
namespace {

struct Maps {
  Maps(int32_t channels, int32_t bits0, int32_t bits1, naive::Random* random)
      : input0(naive::RandomMap(3, 2, channels, bits0, random)),
        input1(naive::RandomMap(3, 2, channels, bits1, random)),
        output(naive::RandomMap(3, 2, channels, random->Of(naive::kBits), random)),
        clamp(naive::RandomClamp(output.bits, output.zero_point, random)),
        bytes(output.Packed().size(), 0xFF) {}

  naive::Map input0;
  naive::Map input1;
  naive::Map output;
  Clamp clamp;
  std::vector<uint8_t> bytes;
};

void CompareProducts(int32_t channels, int32_t bits0, int32_t bits1, naive::Random* random) {
  Maps maps(channels, bits0, bits1, random);
  const FixedPoint factor = naive::RandomFactor(1 << 14, maps.output.bits, random);
  naive::Multiplied(maps.input0, maps.input1, factor, maps.clamp, &maps.output);
  reference::Product(
      {maps.input0.View(), maps.input1.View(), maps.output.View(), maps.clamp, factor},
      maps.input0.Packed().data(), maps.input1.Packed().data(), maps.bytes.data());
  naive::ExpectSameBytes(maps.output.Packed(), maps.bytes);
}

void CompareDifferences(int32_t channels, int32_t bits0, int32_t bits1, naive::Random* random) {
  Maps maps(channels, bits0, bits1, random);
  const FixedPoint any = {random->Uniform(0, INT32_MAX), random->Uniform(-31, 30)};
  const AddMultipliers multipliers = {
      random->OneIn(4) ? any : FixedPoint{random->Uniform(1 << 30, INT32_MAX), 0},
      {1 << 30, 0},
      naive::RandomFactor(128 << 20, maps.output.bits, random)};
  naive::Add(maps.input0, maps.input1, multipliers, maps.clamp, &maps.output, -1);
  reference::Difference(
      {maps.input0.View(), maps.input1.View(), maps.output.View(), maps.clamp, multipliers},
      maps.input0.Packed().data(), maps.input1.Packed().data(), maps.bytes.data());
  naive::ExpectSameBytes(maps.output.Packed(), maps.bytes);
}

TEST(TwoMapsTest, EveryTagAndChannelCountEqualsTheLaw) {
  for (int32_t bits0 : naive::kBits) {
    for (int32_t bits1 : naive::kBits) {
      for (int32_t channels : naive::kChannels) {
        naive::Random random(10);
        SCOPED_TRACE(std::to_string(bits0) + ", " + std::to_string(bits1) + " bits, " +
                     std::to_string(channels) + " channels, seed 10");
        for (int32_t i = 0; i < 4; ++i) CompareProducts(channels, bits0, bits1, &random);
        for (int32_t i = 0; i < 4; ++i) CompareDifferences(channels, bits0, bits1, &random);
      }
    }
  }
}

TEST(TwoMapsTest, ByHand) {
  const FeatureMap map = {1, 1, 2, 2, 8, -2};
  const uint8_t x[] = {5, static_cast<uint8_t>(-5)};
  const uint8_t y[] = {static_cast<uint8_t>(-5), static_cast<uint8_t>(-5)};
  uint8_t z[2];
  // 7 * -3 and -3 * -3, halved; then minus the zero point.
  reference::Product({map, map, map, {-100, 127}, {1 << 30, 0}}, x, y, z);
  EXPECT_EQ(static_cast<int8_t>(z[0]), -12);
  EXPECT_EQ(static_cast<int8_t>(z[1]), 3);
  reference::Difference({map, map, map, {-2, 127}, {{1 << 30, 0}, {1 << 30, 0}, {1 << 30, -18}}}, y,
                        x, z);
  EXPECT_EQ(static_cast<int8_t>(z[0]), -2);
  EXPECT_EQ(static_cast<int8_t>(z[1]), -2);
}

}  // namespace
}  // namespace quantmcu
