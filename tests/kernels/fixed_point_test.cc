#include "tflm_kernels/portable/law/fixed_point.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "tests/kernels/naive.h"

namespace quantmcu {
namespace {

constexpr int32_t kMin = std::numeric_limits<int32_t>::min();
constexpr int32_t kMax = std::numeric_limits<int32_t>::max();

struct Row {
  int32_t x;
  FixedPoint factor;
  int32_t result;
};

TEST(FixedPointTest, KeepsTheTableOfArithmeticA1) {
  const Row rows[] = {
      {1000, {1073741824, 0}, 500},  {1001, {1073741824, 0}, 501}, {-1001, {1073741824, 0}, -500},
      {1000, {1073741824, 1}, 1000}, {-3, {1073741824, -1}, -1},   {12345, {1518500250, -7}, 68},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(Multiply(row.x, row.factor), row.result)
        << row.x << " * " << row.factor.multiplier << " shift " << row.factor.shift;
  }
}

TEST(FixedPointTest, OneIsTheIdentity) {
  for (int32_t x : {kMin / 2, -255, -1, 0, 1, 255, kMax / 2}) {
    EXPECT_EQ(Multiply(x, {1073741824, 1}), x);
  }
}

TEST(FixedPointTest, EqualsRoundingInWordsAtTheEdges) {
  const std::vector<int32_t> xs = {kMin, kMin + 1, -(1 << 20), -1001, -3,      -2,       -1,  0,
                                   1,    2,        3,          1001,  1 << 20, kMax - 1, kMax};
  const std::vector<int32_t> multipliers = {0, 1, 1 << 30, (1 << 30) + 1, 1518500250, kMax};
  for (int32_t shift = -31; shift <= 30; ++shift) {
    for (int32_t multiplier : multipliers) {
      for (int32_t x : xs) {
        const FixedPoint factor = {multiplier, shift};
        EXPECT_EQ(Multiply(x, factor), naive::Product(x, factor))
            << x << " * " << multiplier << " shift " << shift;
      }
    }
  }
}

TEST(FixedPointTest, EqualsRoundingInWordsAtRandom) {
  naive::Random random(3);
  for (int i = 0; i < 200000; ++i) {
    const FixedPoint factor = {random.Uniform(0, kMax), random.Uniform(-31, 30)};
    const int32_t x = random.Uniform(kMin, kMax) >> random.Uniform(0, 31);
    ASSERT_EQ(Multiply(x, factor), naive::Product(x, factor))
        << x << " * " << factor.multiplier << " shift " << factor.shift;
  }
}

TEST(FixedPointTest, RequantizedClampsAndWraps) {
  const Clamp clamp = {-8, 7};
  EXPECT_EQ(Requantized(100, {1073741824, 1}, 0, clamp), 7);
  EXPECT_EQ(Requantized(-100, {1073741824, 1}, 0, clamp), -8);
  EXPECT_EQ(Requantized(3, {1073741824, 1}, 2, clamp), 5);
  // 2^31 - 1 + 1 wraps to the smallest value, which the clamp lifts.
  EXPECT_EQ(Requantized(1 << 30, {kMax, 1}, 2, clamp), -8);
}

}  // namespace
}  // namespace quantmcu
