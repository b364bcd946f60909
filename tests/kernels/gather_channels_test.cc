// Channels of several maps put one behind the other: the kernel, and what a stage refuses of it.
#include "tflm_kernels/portable/ops/gather_channels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/kernels/naive.h"
#include "tests/kernels/small_stage.h"

namespace quantmcu {
namespace {

constexpr FixedPoint kSame = {1 << 30, 1};

int32_t Expected(const naive::Map& in, const FixedPoint& factor, const naive::Map& out,
                 const Clamp& clamp, int32_t value) {
  const int32_t y = naive::Product(value - in.zero_point, factor) + out.zero_point;
  return std::clamp(y, clamp.min, clamp.max);
}

// Runs of random channels of random maps, some of which have the output's format.
void Compare(int32_t output_bits, int32_t channels, naive::Random* random) {
  const int32_t height = random->Uniform(1, 4);
  const int32_t width = random->Uniform(1, 4);
  const int32_t zero_point = random->Uniform(naive::QMin(output_bits), naive::QMax(output_bits));
  const Clamp all = {naive::QMin(output_bits), naive::QMax(output_bits)};
  const Clamp clamp = random->OneIn(3) ? naive::RandomClamp(output_bits, zero_point, random) : all;
  GatherChannelsParams params = {{}, clamp, random->Uniform(1, kMaxGatherInputs), 0, {}};
  std::vector<naive::Map> inputs;
  std::vector<std::vector<uint8_t>> packed;
  std::vector<const uint8_t*> pointers;
  for (int32_t j = 0; j < params.num_inputs; ++j) {
    const bool is_same = random->OneIn(2);
    const int32_t bits = is_same ? output_bits : random->Of(naive::kBits);
    naive::Map input =
        naive::RandomMap(height, width, random->Of({1, 2, 3, 8, 16, 33}), bits, random);
    if (is_same) input.zero_point = zero_point;
    inputs.push_back(input);
    packed.push_back(input.Packed());
    const FixedPoint factor = is_same ? kSame : naive::RandomFactor(1 << bits, output_bits, random);
    params.inputs[j] = {input.View(), factor};
  }
  for (const std::vector<uint8_t>& bytes : packed) pointers.push_back(bytes.data());
  naive::Map output = naive::EmptyMap(height, width, channels, output_bits, zero_point);
  std::vector<ChannelRun> runs;
  for (int32_t at = 0; at < channels;) {
    const int32_t j = random->Uniform(0, params.num_inputs - 1);
    const int32_t first = random->Uniform(0, inputs[j].channels - 1);
    const int32_t count = random->Uniform(1, std::min(inputs[j].channels - first, channels - at));
    int32_t before = 0;
    for (int32_t k = 0; k < j; ++k) before += inputs[k].channels;
    runs.push_back({before + first, count});
    for (int32_t p = 0; p < height * width; ++p) {
      for (int32_t c = 0; c < count; ++c) {
        output.values[p * channels + at + c] =
            Expected(inputs[j], params.inputs[j].multiplier, output, clamp,
                     inputs[j].values[p * inputs[j].channels + first + c]);
      }
    }
    at += count;
  }
  params.num_runs = static_cast<int32_t>(runs.size());
  params.output = output.View();
  std::vector<uint8_t> bytes(output.Packed().size(), 0xFF);
  reference::GatherChannels(params, pointers.data(), runs.data(), bytes.data());
  naive::ExpectSameBytes(output.Packed(), bytes);
}

TEST(GatherChannelsTest, EveryWidthAndChannelCountEqualsTheLaw) {
  naive::ForEachWidthAndChannels(Compare);
}

// X 2x2x2 to itself of A, its channels the other way round, and X: Y 2x2x4.
Stage GatherStage() {
  const StageFormat in_place = {8, 0, {-128, 127}, -1, 0};
  const StageFormat inner = {8, 0, {-128, 127}, 0, 8};
  Stage stage;
  stage.header = {1, 2, 2, 3, 1};
  stage.ops = {{kStageGatherChannels, 0, -1, 1, {-1, -1, -1, -1, -1, -1, 0, 0}, 0, 2, 0, 0},
               {kStageGatherChannels, 1, 0, 2, {-1, -1, -1, -1, -1, -1, 0, 0}, 0, 2, 0, 0}};
  stage.maps = {{2, 2, 2}, {2, 2, 2}, {2, 2, 4}};
  stage.filters = {{8, 1, {}}, {8, 1, {}}};
  stage.formats = {{in_place, inner, in_place}};
  stage.tables = {{{1 << 30, 1, 1, 1, 0, 1}, {1 << 30, 1, 1 << 30, 1, 0, 2, 2, 2}}};
  stage.patch_classes = {0, 0};
  return stage;
}

TEST(GatherStageTest, ChannelsStandWhereTheRunsSay) {
  const std::vector<uint8_t> x = {1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(RunStage(GatherStage(), x, 16),
            (std::vector<uint8_t>{2, 1, 1, 2, 4, 3, 3, 4, 6, 5, 5, 6, 8, 7, 7, 8}));
}

TEST(GatherStageTest, RefusesWhatItWouldReadBeyond) {
  ExpectRefusals(GatherStage(),
                 {{16 + 2, 2, "an input must be written before, -1 behind the last"},
                  {16 + 5, 0, "an input must be written before, -1 behind the last"},
                  {16 + 4, -2, "an input must be written before, -1 behind the last"},
                  {16 + 10, 1, "pads must be 0 where not used"},
                  {16 + 13, 5, "gather_channels needs 1 run to one a channel"},
                  {16 + 13, 0, "gather_channels needs 1 run to one a channel"},
                  {32, 3, "gather_channels needs inputs of the output's height and width"}});
}

TEST(GatherStageTest, RefusesRunsThatDoNotMakeTheOutput) {
  const struct {
    size_t word;
    int32_t value;
    const char* message;
  } corruptions[] = {
      {4, -1, "a run of channels must lie inside one input"},
      {5, 0, "a run of channels must lie inside one input"},
      {5, 3, "a run of channels must lie inside one input"},
      {6, 4, "a run of channels must lie inside one input"},
      {7, 1, "the runs must make the output's channels"},
  };
  for (const auto& [word, value, message] : corruptions) {
    Stage stage = GatherStage();
    stage.tables[0][1][word] = value;
    PatchStageParams params;
    EXPECT_EQ(Refusal(Assemble(stage), &params), message) << "word " << word;
  }
}

}  // namespace
}  // namespace quantmcu
