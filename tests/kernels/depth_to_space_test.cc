// Blocks of pixels made of channels: the kernel, and what a stage refuses of it.
#include "tflm_kernels/portable/ops/depth_to_space.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tests/kernels/naive.h"
#include "tests/kernels/stage_builder.h"
#include "tflm_kernels/portable/stage/read_program.h"
#include "tflm_kernels/portable/stage/run.h"

namespace quantmcu {
namespace {

// A part of a larger map that begins `top` and `left` pixels behind the first one.
void Compare(int32_t output_bits, int32_t channels, naive::Random* random) {
  const bool is_same = random->OneIn(2);
  const int32_t bits = is_same ? output_bits : random->Of(naive::kBits);
  const int32_t fy = random->Uniform(1, 3);
  const int32_t fx = random->Uniform(1, 3);
  const naive::Map input = naive::RandomMap(random->Uniform(1, 4), random->Uniform(1, 4),
                                            fy * fx * channels, bits, random);
  const int32_t zero_point =
      is_same ? input.zero_point
              : random->Uniform(naive::QMin(output_bits), naive::QMax(output_bits));
  const int32_t top = random->Uniform(0, input.height * fy - 1);
  const int32_t left = random->Uniform(0, input.width * fx - 1);
  naive::Map output = naive::EmptyMap(random->Uniform(1, input.height * fy - top),
                                      random->Uniform(1, input.width * fx - left), channels,
                                      output_bits, zero_point);
  const Clamp all = {naive::QMin(output_bits), naive::QMax(output_bits)};
  const Clamp clamp = random->OneIn(3) ? naive::RandomClamp(output_bits, zero_point, random) : all;
  const FixedPoint factor =
      is_same ? FixedPoint{1 << 30, 1} : naive::RandomFactor(1 << bits, output_bits, random);
  for (int32_t y = 0; y < output.height; ++y) {
    for (int32_t x = 0; x < output.width; ++x) {
      for (int32_t c = 0; c < channels; ++c) {
        const int32_t part = (y + top) % fy * fx + (x + left) % fx;
        const int32_t value =
            input.At((y + top) / fy, (x + left) / fx, part * channels + c) - input.zero_point;
        output.At(y, x, c) =
            std::clamp(naive::Product(value, factor) + zero_point, clamp.min, clamp.max);
      }
    }
  }
  std::vector<uint8_t> bytes(output.Packed().size(), 0xFF);
  reference::DepthToSpace({input.View(), output.View(), fy, fx, top, left, clamp, factor},
                          input.Packed().data(), bytes.data());
  naive::ExpectSameBytes(output.Packed(), bytes);
}

TEST(DepthToSpaceTest, EveryWidthAndChannelCountEqualsTheLaw) {
  naive::ForEachWidthAndChannels(Compare);
}

// X 1x2x6 -> Y 2x6x1, in tiles of 1x4: the second begins inside a block.
Stage BlockStage() {
  const StageFormat in_place = {8, 0, {-128, 127}, -1, 0};
  Stage stage;
  stage.header = {1, 4, 1, 2, 1};
  stage.ops = {{kStageDepthToSpace, 0, -1, 1, {1, 1, 2, 3, 1, 1, 0, 0}, 0, 0, 0, 0}};
  stage.maps = {{1, 2, 6}, {2, 6, 1}};
  stage.filters = {{8, 1, {}}};
  stage.formats = {{in_place, in_place}};
  stage.tables = {{{1 << 30, 1}}};
  stage.patch_classes = {0, 0, 0, 0};
  return stage;
}

bool Read(const StageProgram& program, PatchStageParams* params, StageError* error) {
  return ReadPatchStageProgram(program.header, program.words.data(),
                               static_cast<int32_t>(program.words.size()), program.filters.data(),
                               0, reference::kKernels, params, error);
}

TEST(BlockStageTest, TilesMayBeginInsideABlock) {
  const StageProgram program = Assemble(BlockStage());
  PatchStageParams params;
  StageError error;
  ASSERT_TRUE(Read(program, &params, &error)) << error.message;
  const std::vector<uint8_t> x = {1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16};
  std::vector<uint8_t> y(12, 0xFF);
  PatchStage(params, reference::kKernels, x.data(), nullptr, y.data());
  EXPECT_EQ(y, (std::vector<uint8_t>{1, 2, 3, 11, 12, 13, 4, 5, 6, 14, 15, 16}));
}

TEST(BlockStageTest, RefusesOtherChannels) {
  StageProgram program = Assemble(BlockStage());
  program.words[16 + 2] = 5;  // of map 0
  PatchStageParams params;
  StageError error;
  ASSERT_FALSE(Read(program, &params, &error));
  EXPECT_STREQ(error.message, "depth_to_space must make blocks of pixels of all of its channels");
}

}  // namespace
}  // namespace quantmcu
