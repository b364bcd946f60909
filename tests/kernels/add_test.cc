#include "tflm_kernels/portable/ops/add.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "tests/kernels/naive.h"

namespace quantmcu {
namespace {

FixedPoint AnyFactor(naive::Random* random) {
  return {random->Uniform(0, std::numeric_limits<int32_t>::max()), random->Uniform(-31, 30)};
}

// As quantize_multiplier makes them from scales, or anything at all.
AddMultipliers RandomMultipliers(int32_t output_bits, bool is_extreme, naive::Random* random) {
  if (is_extreme) return {AnyFactor(random), AnyFactor(random), AnyFactor(random)};
  const FixedPoint input = {random->Uniform(1 << 30, std::numeric_limits<int32_t>::max()), 0};
  return {input, {1 << 30, 0}, naive::RandomFactor(128 << 20, output_bits, random)};
}

void Compare(int32_t channels, int32_t bits0, int32_t bits1, bool is_extreme,
             naive::Random* random) {
  const int32_t output_bits = random->Of(naive::kBits);
  const naive::Map input0 = naive::RandomMap(3, 2, channels, bits0, random);
  const naive::Map input1 = naive::RandomMap(3, 2, channels, bits1, random);
  naive::Map output = naive::RandomMap(3, 2, channels, output_bits, random);
  const AddMultipliers multipliers = RandomMultipliers(output_bits, is_extreme, random);
  const Clamp clamp = naive::RandomClamp(output_bits, output.zero_point, random);
  naive::Add(input0, input1, multipliers, clamp, &output);

  std::vector<uint8_t> bytes(output.Packed().size(), 0xFF);
  reference::Add({input0.View(), input1.View(), output.View(), clamp, multipliers},
                 input0.Packed().data(), input1.Packed().data(), bytes.data());
  naive::ExpectSameBytes(output.Packed(), bytes);
}

TEST(AddTest, EveryTagAndChannelCountEqualsTheLaw) {
  for (int32_t bits0 : naive::kBits) {
    for (int32_t bits1 : naive::kBits) {
      for (int32_t channels : naive::kChannels) {
        naive::Random random(10);
        SCOPED_TRACE(std::to_string(bits0) + " + " + std::to_string(bits1) + " bits, " +
                     std::to_string(channels) + " channels, seed 10");
        Compare(channels, bits0, bits1, false, &random);
        Compare(channels, bits0, bits1, true, &random);
      }
    }
  }
}

TEST(AddTest, EqualScalesByHand) {
  // Scales equal: both inputs count half of twice the largest scale, the output twice that / 2^20.
  const AddMultipliers equal_scales = {{1 << 30, 0}, {1 << 30, 0}, {1 << 30, -18}};
  const uint8_t input0[] = {10, static_cast<uint8_t>(-20)};
  const uint8_t input1[] = {5, static_cast<uint8_t>(-100)};
  uint8_t output[2];
  const FeatureMap map = {1, 1, 2, 2, 8, 0};
  reference::Add({map, map, map, {-100, 127}, equal_scales}, input0, input1, output);
  EXPECT_EQ(static_cast<int8_t>(output[0]), 15);
  EXPECT_EQ(static_cast<int8_t>(output[1]), -100);
}

}  // namespace
}  // namespace quantmcu
