#include "tflm_kernels/aot/arena.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>

namespace quantmcu {
namespace aot {
namespace {

alignas(kArenaAlignment) uint8_t memory[64];

TEST(ArenaTest, AsMuchAsIsNeededAtAMultipleOf16IsTaken) {
  EXPECT_EQ(CheckArena(memory, 48, 48), Status::kOk);
  EXPECT_EQ(CheckArena(memory + 16, 48, 47), Status::kOk);
  EXPECT_EQ(CheckArena(memory, 47, 48), Status::kArenaTooSmall);
  for (int i = 1; i < 16; ++i) EXPECT_EQ(CheckArena(memory + i, 48, 48), Status::kArenaMisaligned);
}

TEST(ArenaTest, TheSentenceHasBothFigures) {
  const auto* arena = reinterpret_cast<const uint8_t*>(uintptr_t{0x2000001a});
  EXPECT_STREQ(DescribeArena(arena, 1000, 45264).text,
               "the arena has 1000 bytes at 0x2000001a; it needs 45264 at a multiple of 16");
  EXPECT_STREQ(DescribeArena(nullptr, 0, 0).text,
               "the arena has 0 bytes at 0x0; it needs 0 at a multiple of 16");
}

TEST(ArenaTest, TheLongestSentenceFits) {
  const auto* arena = reinterpret_cast<const uint8_t*>(UINTPTR_MAX);
  const ArenaSentence sentence = DescribeArena(arena, UINT32_MAX, UINT32_MAX);
  EXPECT_LT(std::strlen(sentence.text), sizeof(sentence.text) - 1);
  EXPECT_NE(std::string(sentence.text).find("4294967295 bytes"), std::string::npos);
}

}  // namespace
}  // namespace aot
}  // namespace quantmcu
