// Blocks of pixels made of channels: the kernel, and what a stage refuses of it.
#include "tflm_kernels/portable/ops/depth_to_space.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/kernels/naive.h"
#include "tests/kernels/rescaling.h"
#include "tests/kernels/small_stage.h"

namespace quantmcu {
namespace {

// A part of a larger map that begins `top` and `left` pixels behind the first one.
void Compare(int32_t output_bits, int32_t channels, naive::Random* random) {
  Rescaling rescaled(output_bits, random);
  const int32_t fy = random->Uniform(1, 3);
  const int32_t fx = random->Uniform(1, 3);
  const naive::Map input = naive::RandomMap(random->Uniform(1, 4), random->Uniform(1, 4),
                                            fy * fx * channels, rescaled.input_bits(), random);
  rescaled.From(input, random);
  const int32_t top = random->Uniform(0, input.height * fy - 1);
  const int32_t left = random->Uniform(0, input.width * fx - 1);
  naive::Map output = naive::EmptyMap(random->Uniform(1, input.height * fy - top),
                                      random->Uniform(1, input.width * fx - left), channels,
                                      output_bits, rescaled.zero_point);
  for (int32_t y = 0; y < output.height; ++y) {
    for (int32_t x = 0; x < output.width; ++x) {
      for (int32_t c = 0; c < channels; ++c) {
        const int32_t part = (y + top) % fy * fx + (x + left) % fx;
        output.At(y, x, c) =
            rescaled(input.At((y + top) / fy, (x + left) / fx, part * channels + c));
      }
    }
  }
  std::vector<uint8_t> bytes(output.Packed().size(), 0xFF);
  reference::DepthToSpace(
      {input.View(), output.View(), fy, fx, top, left, rescaled.clamp, rescaled.factor},
      input.Packed().data(), bytes.data());
  naive::ExpectSameBytes(output.Packed(), bytes);
}

TEST(DepthToSpaceTest, EveryWidthAndChannelCountEqualsTheLaw) {
  naive::ForEachWidthAndChannels(Compare);
}

// X 1x2x6 -> Y 2x6x1, in tiles of 1x4: the second begins inside a block.
Stage BlockStage() {
  return StageOfOneOp(1, 4, {kStageDepthToSpace, 0, -1, 1, {1, 1, 2, 3, 1, 1, 0, 0}, 0, 0, 0, 0},
                      {1, 2, 6}, {2, 6, 1});
}

TEST(BlockStageTest, TilesMayBeginInsideABlock) {
  const std::vector<uint8_t> x = {1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16};
  EXPECT_EQ(RunStage(BlockStage(), x, 12),
            (std::vector<uint8_t>{1, 2, 3, 11, 12, 13, 4, 5, 6, 14, 15, 16}));
}

TEST(BlockStageTest, RefusesOtherChannels) {
  const int32_t channels_of_x = 16 + 2;
  const char* const message = "depth_to_space must make blocks of pixels of all of its channels";
  ExpectRefusals(BlockStage(), {{channels_of_x, 5, message}});
}

}  // namespace
}  // namespace quantmcu
