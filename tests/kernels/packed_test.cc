#include "tflm_kernels/portable/law/packed.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/kernels/naive.h"
#include "tflm_kernels/portable/law/dot.h"

namespace quantmcu {
namespace {

std::vector<uint8_t> Stored(const std::vector<int32_t>& values, int32_t bits) {
  const int32_t count = static_cast<int32_t>(values.size());
  // Old contents must not show through.
  std::vector<uint8_t> run(RunBytes(count, bits), 0xFF);
  for (int32_t i = 0; i < count; ++i) StoreValue(run.data(), i, bits, values[i]);
  return run;
}

struct Row {
  std::vector<int32_t> values;
  int32_t bits;
  std::vector<uint8_t> bytes;
};

TEST(PackedTest, KeepsTheTableOfFormatF2) {
  const Row rows[] = {
      {{1, -2, 3}, 8, {0x01, 0xFE, 0x03}},
      {{1, -2, 3}, 4, {0xE1, 0x03}},
      {{1, -2, -1, 0, 1}, 2, {0x39, 0x01}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(Stored(row.values, row.bits), row.bytes) << row.bits << " bits";
    for (size_t i = 0; i < row.values.size(); ++i) {
      EXPECT_EQ(LoadValue(row.bytes.data(), static_cast<int32_t>(i), row.bits), row.values[i]);
    }
  }
}

TEST(PackedTest, RunBytesRoundsUp) {
  EXPECT_EQ(RunBytes(5, 8), 5);
  EXPECT_EQ(RunBytes(5, 4), 3);
  EXPECT_EQ(RunBytes(5, 2), 2);
  EXPECT_EQ(RunBytes(4, 2), 1);
}

TEST(PackedTest, RunsOfEveryLengthAndWidthComeBack) {
  naive::Random random(1);
  for (int32_t bits : naive::kBits) {
    for (int32_t length : naive::kChannels) {
      const naive::Filter run = naive::RandomFilter(1, length, bits, &random);
      const std::vector<uint8_t> bytes = Stored(run.values, bits);
      naive::ExpectSameBytes(run.Packed(), bytes);
      for (int32_t i = 0; i < length; ++i) {
        EXPECT_EQ(LoadValue(bytes.data(), i, bits), run.values[i]) << bits << " bits, value " << i;
      }
    }
  }
}

TEST(DotTest, EqualsThePlainSumForAllWidths) {
  naive::Random random(2);
  for (int32_t x_bits : naive::kBits) {
    for (int32_t w_bits : naive::kBits) {
      for (int32_t length : naive::kChannels) {
        const naive::Filter x = naive::RandomFilter(1, length, x_bits, &random);
        const naive::Filter w = naive::RandomFilter(1, length, w_bits, &random);
        const int32_t zero_point = random.Of({naive::QMin(x_bits), 0, naive::QMax(x_bits)});
        int32_t sum = 0;
        for (int32_t i = 0; i < length; ++i) sum += (x.values[i] - zero_point) * w.values[i];
        EXPECT_EQ(Dot(x.Packed().data(), x_bits, zero_point, w.Packed().data(), w_bits, length),
                  sum)
            << naive::Tag(x_bits, w_bits) << " length " << length;
      }
    }
  }
}

TEST(DotTest, TheLongestRunOfExtremesFitsInt32) {
  constexpr int32_t kLongest = 65793;  // 65793 * 255 * 128 < 2^31
  const std::vector<uint8_t> x(kLongest, 0x80);
  const std::vector<uint8_t> w(kLongest, 0x80);
  EXPECT_EQ(Dot(x.data(), 8, 127, w.data(), 8, kLongest), kLongest * 255 * 128);
}

}  // namespace
}  // namespace quantmcu
