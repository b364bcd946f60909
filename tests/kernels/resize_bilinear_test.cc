// Bilinear interpolation: the kernel, and what a stage refuses of it.
#include "tflm_kernels/portable/ops/resize_bilinear.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/kernels/naive.h"
#include "tests/kernels/rescaling.h"
#include "tests/kernels/small_stage.h"

namespace quantmcu {
namespace {

int32_t Mixed(const naive::Map& map, const Neighbours& row, const Neighbours& column, int32_t c) {
  int64_t sum = 0;
  const int64_t rows[] = {1024 - row.share, row.share};
  const int64_t columns[] = {1024 - column.share, column.share};
  for (int32_t i = 0; i < 2; ++i) {
    for (int32_t j = 0; j < 2; ++j) {
      sum += rows[i] * columns[j] *
             map.At(i == 0 ? row.lower : row.upper, j == 0 ? column.lower : column.upper, c);
    }
  }
  const int64_t half = int64_t{1} << 19;
  return static_cast<int32_t>((sum > 0 ? sum + half : sum - half) / (int64_t{1} << 20));
}

// The whole map, or the rows and columns of the output from (top, left) on.
void Compare(int32_t output_bits, int32_t channels, naive::Random* random) {
  Rescaling rescaled(output_bits, random);
  const naive::Map input = naive::RandomMap(random->Uniform(1, 5), random->Uniform(1, 5), channels,
                                            rescaled.input_bits(), random);
  rescaled.From(input, random);
  const int32_t mode = random->Uniform(0, 2);
  const int32_t height = input.height * random->Uniform(1, 4);
  const int32_t width = input.width * random->Uniform(1, 4);
  const int32_t top = random->Uniform(0, height - 1);
  const int32_t left = random->Uniform(0, width - 1);
  naive::Map output =
      naive::EmptyMap(random->Uniform(1, height - top), random->Uniform(1, width - left), channels,
                      output_bits, rescaled.zero_point);
  const ResizeSteps y_steps = ResizeStepsOf(input.height, height, mode);
  const ResizeSteps x_steps = ResizeStepsOf(input.width, width, mode);
  const ResizeAxis rows = {y_steps.step, y_steps.first + top * y_steps.step, input.height, 0};
  const ResizeAxis columns = {x_steps.step, x_steps.first + left * x_steps.step, input.width, 0};
  for (int32_t y = 0; y < output.height; ++y) {
    for (int32_t x = 0; x < output.width; ++x) {
      const Neighbours row = NeighboursAt(rows.first + y * rows.step, input.height);
      const Neighbours column = NeighboursAt(columns.first + x * columns.step, input.width);
      for (int32_t c = 0; c < channels; ++c) {
        output.At(y, x, c) = rescaled(Mixed(input, row, column, c));
      }
    }
  }
  std::vector<uint8_t> bytes(output.Packed().size(), 0xFF);
  reference::ResizeBilinear(
      {input.View(), output.View(), rows, columns, rescaled.clamp, rescaled.factor},
      input.Packed().data(), bytes.data());
  naive::ExpectSameBytes(output.Packed(), bytes);
}

TEST(ResizeBilinearTest, EveryWidthAndChannelCountEqualsTheLaw) {
  for (int32_t bits : naive::kBits) {
    for (int32_t channels : naive::kChannels) {
      for (uint32_t seed = 0; seed < 30; ++seed) {
        naive::Random random(seed);
        SCOPED_TRACE("to a" + std::to_string(bits) + ", " + std::to_string(channels) +
                     " channels, seed " + std::to_string(seed));
        Compare(bits, channels, &random);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(ResizeBilinearTest, ExtremesDoNotOverflow) {
  naive::Map input = naive::EmptyMap(1, 1, 1, 8, 0);
  for (int32_t value : {-128, 127}) {
    input.At(0, 0, 0) = value;
    naive::Map output = naive::EmptyMap(1, 1, 1, 8, 0);
    const ResizeAxis axis = {16, -504, 1, 0};  // the first of 64 pixels
    std::vector<uint8_t> byte(1);
    reference::ResizeBilinear({input.View(), output.View(), axis, axis, {-128, 127}, {1 << 30, 1}},
                              input.Packed().data(), byte.data());
    EXPECT_EQ(static_cast<int8_t>(byte[0]), value);
  }
}

// X 1x3x1 -> Y 1x6x1 with half pixel centres, in tiles of 1x4.
Stage BilinearStage() {
  return StageOfOneOp(1, 4, {kStageResizeBilinear, 0, -1, 1, {1, 3, 1, 2, 1, 1, 0, 1}, 0, 1, 0, 0},
                      {1, 3, 1}, {1, 6, 1});
}

TEST(BilinearStageTest, TilesMixWhatStandsAroundThem) {
  const std::vector<uint8_t> x = {10, 20, static_cast<uint8_t>(-7)};
  EXPECT_EQ(RunStage(BilinearStage(), x, 6),
            (std::vector<uint8_t>{10, 13, 18, 13, 0, static_cast<uint8_t>(-7)}));
}

TEST(BilinearStageTest, RefusesWindowsThatHoldTooLittle) {
  const char* const window = "the window of a resize must hold all pixels that it mixes";
  ExpectRefusals(BilinearStage(), {{5, 2, window},
                                   {11, 0, window},
                                   {8, 2, window},
                                   {10, -1, window},
                                   {13, 4, "the mode of a resize must be 0 to 2"},
                                   {7, 3, "a resize must make the map larger by its strides"}});
}

}  // namespace
}  // namespace quantmcu
