// Maps made larger by whole factors: the kernel, and what a stage refuses of it.
#include "tflm_kernels/portable/ops/resize_nearest.h"

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
  const naive::Map input =
      naive::RandomMap(random->Uniform(1, 4), random->Uniform(1, 4), channels, bits, random);
  const int32_t zero_point =
      is_same ? input.zero_point
              : random->Uniform(naive::QMin(output_bits), naive::QMax(output_bits));
  const int32_t fy = random->Uniform(1, 3);
  const int32_t fx = random->Uniform(1, 3);
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
        const int32_t value = input.At((y + top) / fy, (x + left) / fx, c) - input.zero_point;
        output.At(y, x, c) =
            std::clamp(naive::Product(value, factor) + zero_point, clamp.min, clamp.max);
      }
    }
  }
  std::vector<uint8_t> bytes(output.Packed().size(), 0xFF);
  reference::ResizeNearest({input.View(), output.View(), fy, fx, top, left, clamp, factor},
                           input.Packed().data(), bytes.data());
  naive::ExpectSameBytes(output.Packed(), bytes);
}

TEST(ResizeNearestTest, EveryWidthAndChannelCountEqualsTheLaw) {
  naive::ForEachWidthAndChannels(Compare);
}

// X 1x2x1 -> Y 2x6x1, in tiles of 1x4: the second begins inside a repeated pixel.
Stage ResizeStage() {
  const StageFormat in_place = {8, 0, {-128, 127}, -1, 0};
  Stage stage;
  stage.header = {1, 4, 1, 2, 1};
  stage.ops = {{kStageResizeNearest, 0, -1, 1, {1, 1, 2, 3, 1, 1, 0, 0}, 0, 0, 0, 0}};
  stage.maps = {{1, 2, 1}, {2, 6, 1}};
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

TEST(ResizeStageTest, TilesMayBeginInsideAPixel) {
  const StageProgram program = Assemble(ResizeStage());
  PatchStageParams params;
  StageError error;
  ASSERT_TRUE(Read(program, &params, &error)) << error.message;
  const std::vector<uint8_t> x = {7, 9};
  std::vector<uint8_t> y(12, 0xFF);
  PatchStage(params, reference::kKernels, x.data(), nullptr, y.data());
  EXPECT_EQ(y, (std::vector<uint8_t>{7, 7, 7, 9, 9, 9, 7, 7, 7, 9, 9, 9}));
}

TEST(ResizeStageTest, RefusesOtherSizesAndWindows) {
  const char* const factors = "a resize must make the map larger by its strides";
  const char* const window = "a resize has kernel and dilation 1, pads 0";
  const struct {
    size_t position;
    int32_t value;
    const char* message;
  } corruptions[] = {{6, 3, factors}, {7, 0, factors}, {7, -3, factors}, {4, 2, window},
                     {9, 0, window},  {10, 1, window}, {11, -1, window}, {4, INT32_MIN, window}};
  for (const auto& [position, value, message] : corruptions) {
    StageProgram program = Assemble(ResizeStage());
    program.words[position] = value;
    PatchStageParams params;
    StageError error;
    ASSERT_FALSE(Read(program, &params, &error)) << "word " << position;
    EXPECT_STREQ(error.message, message) << "word " << position;
  }
}

}  // namespace
}  // namespace quantmcu
