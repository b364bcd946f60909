// Maps made larger by whole factors: the kernel, and what a stage refuses of it.
#include "tflm_kernels/portable/ops/resize_nearest.h"

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
  const naive::Map input = naive::RandomMap(random->Uniform(1, 4), random->Uniform(1, 4), channels,
                                            rescaled.input_bits(), random);
  rescaled.From(input, random);
  const int32_t fy = random->Uniform(1, 3);
  const int32_t fx = random->Uniform(1, 3);
  const int32_t top = random->Uniform(0, input.height * fy - 1);
  const int32_t left = random->Uniform(0, input.width * fx - 1);
  naive::Map output = naive::EmptyMap(random->Uniform(1, input.height * fy - top),
                                      random->Uniform(1, input.width * fx - left), channels,
                                      output_bits, rescaled.zero_point);
  for (int32_t y = 0; y < output.height; ++y) {
    for (int32_t x = 0; x < output.width; ++x) {
      for (int32_t c = 0; c < channels; ++c) {
        output.At(y, x, c) = rescaled(input.At((y + top) / fy, (x + left) / fx, c));
      }
    }
  }
  std::vector<uint8_t> bytes(output.Packed().size(), 0xFF);
  reference::ResizeNearest(
      {input.View(), output.View(), fy, fx, top, left, rescaled.clamp, rescaled.factor},
      input.Packed().data(), bytes.data());
  naive::ExpectSameBytes(output.Packed(), bytes);
}

TEST(ResizeNearestTest, EveryWidthAndChannelCountEqualsTheLaw) {
  naive::ForEachWidthAndChannels(Compare);
}

// X 1x2x1 -> Y 2x6x1, in tiles of 1x4: the second begins inside a repeated pixel.
Stage ResizeStage() {
  return StageOfOneOp(1, 4, {kStageResizeNearest, 0, -1, 1, {1, 1, 2, 3, 1, 1, 0, 0}, 0, 0, 0, 0},
                      {1, 2, 1}, {2, 6, 1});
}

TEST(ResizeStageTest, TilesMayBeginInsideAPixel) {
  const std::vector<uint8_t> x = {7, 9};
  EXPECT_EQ(RunStage(ResizeStage(), x, 12),
            (std::vector<uint8_t>{7, 7, 7, 9, 9, 9, 7, 7, 7, 9, 9, 9}));
}

TEST(ResizeStageTest, RefusesOtherSizesAndWindows) {
  const char* const factors = "a resize must make the map larger by its strides";
  const char* const window = "a resize has kernel and dilation 1, pads 0";
  ExpectRefusals(ResizeStage(), {{6, 3, factors},
                                 {7, 0, factors},
                                 {7, -3, factors},
                                 {4, 2, window},
                                 {9, 0, window},
                                 {10, 1, window},
                                 {11, -1, window},
                                 {4, INT32_MIN, window}});
}

}  // namespace
}  // namespace quantmcu
