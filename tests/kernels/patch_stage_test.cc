#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/kernels/naive.h"
#include "tests/kernels/stage_builder.h"
#include "tflm_kernels/portable/stage/read_program.h"
#include "tflm_kernels/portable/stage/run.h"

namespace quantmcu {
namespace {

// Runs a stage in buffers of exactly the bytes that it may touch.
std::vector<uint8_t> RunStage(const Stage& stage, const naive::Map& x, size_t y_bytes) {
  const StageProgram program = Assemble(stage);
  PatchStageParams params;
  StageError error;
  if (!ReadPatchStageProgram(program.header, program.words.data(),
                             static_cast<int32_t>(program.words.size()), program.filters.data(),
                             static_cast<int32_t>(program.filters.size()), reference::kKernels,
                             &params, &error)) {
    ADD_FAILURE() << error.item << " " << error.index << ": " << error.message << " (found "
                  << error.found << ")";
    return {};
  }
  std::vector<uint8_t> scratch(PatchStageScratchBytes(params, reference::kKernels), 0xA5);
  std::vector<uint8_t> y(y_bytes, 0xFF);
  PatchStage(params, reference::kKernels, x.Packed().data(), scratch.data(), y.data());
  return y;
}

void CompareAllCuts(Stage* stage, naive::Random* random) {
  const naive::Map x = stage->RandomX(random);
  const int32_t height = stage->maps.back().height;
  const int32_t width = stage->maps.back().width;
  const int32_t tiles[][2] = {{height, width},
                              {1, 1},
                              {(height + 1) / 2, (width + 1) / 2},
                              {random->Uniform(1, height), random->Uniform(1, width)},
                              {1, width},
                              {height + 3, 2}};
  for (const auto& [tile_height, tile_width] : tiles) {
    SCOPED_TRACE("tiles of " + std::to_string(tile_height) + "x" + std::to_string(tile_width) +
                 " of " + std::to_string(height) + "x" + std::to_string(width));
    CutIntoTiles(tile_height, tile_width, stage, random);
    const std::vector<uint8_t> expected = stage->ExpectedY(x).Packed();
    naive::ExpectSameBytes(expected, RunStage(*stage, x, expected.size()));
  }
}

class PatchStageTest : public testing::TestWithParam<int32_t> {};

TEST_P(PatchStageTest, TilesGiveWhatWholeMapsGive) {
  for (uint32_t seed = 0; seed < 150; ++seed) {
    naive::Random random(seed);
    SCOPED_TRACE("seed " + std::to_string(seed));
    const int32_t num_ops = random.Uniform(1, 8);
    Stage stage = RandomStage(num_ops, random.Uniform(1, 3), GetParam(), &random);
    CompareAllCuts(&stage, &random);
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Bits, PatchStageTest, testing::Values(8, 4, 2, 0),
                         [](const testing::TestParamInfo<int32_t>& info) {
                           return info.param == 0 ? std::string("mixed")
                                                  : "a" + std::to_string(info.param);
                         });

TEST(PatchStageLimitsTest, RunsTheLongestStage) {
  naive::Random random(14);
  Stage stage = RandomStage(kMaxStageMaps - 1, 2, 0, &random);
  CompareAllCuts(&stage, &random);
}

// X 4x4 of 1 to 16 -> 3x3 sums (SAME) -> A; X + A -> Y, in tiles of 2x2.
Stage StageByHand() {
  const Window same = {3, 3, 1, 1, 1, 1, 1, 1};
  const Window unit = {1, 1, 1, 1, 1, 1, 0, 0};
  const StageFormat in_place = {8, 0, {-128, 127}, -1, 0};
  Stage stage;
  stage.header = {2, 2, 2, 3, 1};
  stage.ops = {{kStageConv2D, 0, -1, 1, same, 8, 0, 0, 9}, {kStageAdd, 0, 1, 2, unit, 0, 0, 0, 0}};
  stage.maps = {{4, 4, 1}, {4, 4, 1}, {4, 4, 1}};
  stage.filters = {{8, 1, std::vector<int32_t>(9, 1)}, {8, 1, {}}};
  stage.formats = {{in_place, {8, 0, {-128, 127}, 0, 4}, in_place}};
  stage.tables = {{{0, 1 << 30, 1}, {1 << 30, 0, 1 << 30, 0, 1 << 30, -18}}};
  stage.patch_classes = {0, 0, 0, 0};
  return stage;
}

TEST(PatchStageByHandTest, SumsOfNeighboursPlusTheSkip) {
  naive::Map x = {4, 4, 1, 8, 0, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
  const std::vector<uint8_t> y = RunStage(StageByHand(), x, 16);
  EXPECT_EQ(
      y, (std::vector<uint8_t>{15, 26, 33, 26, 38, 60, 70, 53, 66, 100, 110, 81, 59, 86, 93, 70}));
}

TEST(PatchStageByHandTest, ScratchIsTheLargestEnd) {
  Stage stage = StageByHand();
  stage.formats[0][1].scratch_offset = 8;
  const StageProgram program = Assemble(stage);
  PatchStageParams params;
  StageError error;
  ASSERT_TRUE(ReadPatchStageProgram(
      program.header, program.words.data(), static_cast<int32_t>(program.words.size()),
      program.filters.data(), static_cast<int32_t>(program.filters.size()), reference::kKernels,
      &params, &error));
  EXPECT_EQ(PatchStageScratchBytes(params, reference::kKernels), 12u);
}

}  // namespace
}  // namespace quantmcu
