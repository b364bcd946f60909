#include "tflm_kernels/micro/flex_map.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "flatbuffers/flexbuffers.h"
#include "tests/kernels/naive.h"

namespace quantmcu {
namespace {

constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();

template <typename Fill>
std::vector<uint8_t> Buffer(Fill fill) {
  flexbuffers::Builder builder;
  builder.Map([&] { fill(&builder); });
  builder.Finish();
  return builder.GetBuffer();
}

FlexMap MapOf(const std::vector<uint8_t>& buffer) { return FlexMap(buffer.data(), buffer.size()); }

TEST(FlexMapTest, FindsIntegersOfEveryWidth) {
  const std::vector<int64_t> values = {0,      -1,      127,     -128,          128,
                                       -32768, 1 << 30, 1 << 31, -kLargest - 1, kLargest};
  for (int64_t value : values) {
    const std::vector<uint8_t> buffer = Buffer([&](flexbuffers::Builder* builder) {
      builder->Int("other", 5);
      builder->Int("wanted", value);
      builder->IndirectInt("indirect", value);
    });
    const FlexMap map = MapOf(buffer);
    ASSERT_TRUE(map.is_valid());
    EXPECT_EQ(map.size(), 3u);
    for (const char* key : {"wanted", "indirect"}) {
      EXPECT_EQ(map.Find(key).kind, FlexValue::kInteger);
      EXPECT_EQ(map.Find(key).integer, value) << key;
    }
    EXPECT_EQ(map.Find("other").integer, 5);
  }
}

TEST(FlexMapTest, UnsignedIntegersDoNotBecomeNegative) {
  const std::vector<uint8_t> buffer = Buffer([](flexbuffers::Builder* builder) {
    builder->UInt("huge", std::numeric_limits<uint64_t>::max());
    builder->UInt("byte", 255);
    builder->IndirectUInt("indirect", 65535);
  });
  EXPECT_EQ(MapOf(buffer).Find("huge").integer, kLargest);
  EXPECT_EQ(MapOf(buffer).Find("indirect").integer, 65535);
}

TEST(FlexMapTest, FindsStringsAndTellsOtherKinds) {
  const std::vector<uint8_t> buffer = Buffer([](flexbuffers::Builder* builder) {
    builder->String("text", "recompute");
    builder->String("empty", "");
    builder->Double("double", 1.5);
    builder->Bool("bool", true);
    builder->Null("null");
    builder->Vector("vector", [&] { builder->Int(1); });
  });
  const FlexMap map = MapOf(buffer);
  EXPECT_STREQ(map.Find("text").text, "recompute");
  EXPECT_STREQ(map.Find("empty").text, "");
  for (const char* key : {"double", "bool", "null", "vector"}) {
    EXPECT_EQ(map.Find(key).kind, FlexValue::kOther) << key;
  }
  for (const char* key : {"", "tex", "text2", "Text", "absent"}) {
    EXPECT_EQ(map.Find(key).kind, FlexValue::kMissing) << key;
  }
}

TEST(FlexMapTest, RefusesRootsThatAreNoMap) {
  flexbuffers::Builder builder;
  builder.Int(7);
  builder.Finish();
  EXPECT_FALSE(MapOf(builder.GetBuffer()).is_valid());
  EXPECT_FALSE(FlexMap(nullptr, 0).is_valid());
  EXPECT_FALSE(MapOf({0}).is_valid());
  EXPECT_FALSE(MapOf({0, 0, 3}).is_valid());
}

std::vector<uint8_t> LargeBuffer() {
  return Buffer([](flexbuffers::Builder* builder) {
    for (int i = 0; i < 40; ++i) {
      builder->Int(("integer" + std::to_string(i)).c_str(), i * i * 1000);
      builder->String(("string" + std::to_string(i)).c_str(), std::string(i, 'x'));
    }
  });
}

// Buffers of exactly their size, so that asan sees any step outside.
void FindEverything(const std::vector<uint8_t>& bytes) {
  const std::vector<uint8_t> buffer(bytes);
  const FlexMap map = MapOf(buffer);
  for (const char* key : {"integer0", "integer39", "string20", "absent", ""}) {
    const FlexValue value = map.Find(key);
    if (value.kind != FlexValue::kString) continue;
    EXPECT_LE(std::string(value.text).size(), buffer.size());
  }
}

TEST(FlexMapTest, StaysInsideTruncatedBuffers) {
  const std::vector<uint8_t> valid = LargeBuffer();
  for (size_t length = 0; length <= valid.size(); ++length) {
    FindEverything({valid.begin(), valid.begin() + static_cast<std::ptrdiff_t>(length)});
    FindEverything({valid.end() - static_cast<std::ptrdiff_t>(length), valid.end()});
  }
}

TEST(FlexMapTest, StaysInsideCorruptedBuffers) {
  const std::vector<uint8_t> valid = LargeBuffer();
  naive::Random random(16);
  for (int i = 0; i < 50000; ++i) {
    std::vector<uint8_t> bytes = valid;
    for (int k = random.Uniform(1, 4); k > 0; --k) {
      // Two thirds of the changes hit the map's structure, which stands at the end.
      const int32_t last = static_cast<int32_t>(bytes.size()) - 1;
      const int32_t first = random.Of({0, last - 16, last - 600});
      bytes[random.Uniform(first, last)] = static_cast<uint8_t>(random.Uniform(0, 255));
    }
    FindEverything(bytes);
  }
}

}  // namespace
}  // namespace quantmcu
