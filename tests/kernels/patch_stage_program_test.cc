// What ReadPatchStageProgram refuses: a table of single corruptions, and random ones, of which no
// accepted one may make PatchStage touch a byte that it should not (run under asan).
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/kernels/naive.h"
#include "tests/kernels/stage_builder.h"
#include "tflm_kernels/portable/law/limits.h"
#include "tflm_kernels/portable/stage/check_kernels.h"
#include "tflm_kernels/portable/stage/read_program.h"
#include "tflm_kernels/portable/stage/run.h"

namespace quantmcu {
namespace {

constexpr int32_t kHuge = std::numeric_limits<int32_t>::max();

bool Read(const StageProgram& program, PatchStageParams* params, StageError* error,
          const Kernels& kernels = reference::kKernels) {
  return ReadPatchStageProgram(
      program.header, program.words.data(), static_cast<int32_t>(program.words.size()),
      program.filters.data(), static_cast<int32_t>(program.filters.size()), kernels, params, error);
}

// X 6x6x3 -> conv A 6x6x4 -> depthwise B 6x6x4; A + B -> C; max pool C -> D 3x3x4; average pool D
// -> E 3x3x4; requantize E -> Y 4x4x4. Two classes, tiles of 2x2.
Stage ValidStage() {
  const Window same = {3, 3, 1, 1, 1, 1, 1, 1};
  const Window unit = {1, 1, 1, 1, 1, 1, 0, 0};
  const Window half = {2, 2, 2, 2, 1, 1, 0, 0};
  const std::vector<int32_t> factor = {1 << 30, 1};
  naive::Random random(15);
  Stage stage;
  stage.header = {2, 2, 6, 7, 2};
  stage.maps = {{6, 6, 3}, {6, 6, 4}, {6, 6, 4}, {6, 6, 4}, {3, 3, 4}, {3, 3, 4}, {4, 4, 4}};
  stage.ops = {{kStageConv2D, 0, -1, 1, same, 8, 0, 0, 0},
               {kStageDepthwiseConv2D, 1, -1, 2, same, 4, 1, 0, 0},
               {kStageAdd, 1, 2, 3, unit, 0, 0, 0, 0},
               {kStageMaxPool2D, 3, -1, 4, half, 0, 0, 0, 0},
               {kStageAveragePool2D, 4, -1, 5, same, 0, 0, 0, 0},
               {kStageRequantize, 5, -1, 6, unit, 0, 0, 0, 0}};
  stage.filters.assign(6, {8, 1, {}});
  stage.filters[0] = naive::RandomFilter(4 * 9, 3, 8, &random);
  stage.filters[1] = naive::RandomFilter(9, 4, 4, &random);
  const StageFormat eight = {8, 3, {-128, 127}, 0, 0};
  const StageFormat four = {4, -2, {-8, 7}, 0, 0};
  stage.formats = {std::vector<StageFormat>(7, eight), std::vector<StageFormat>(7, four)};
  stage.formats[1].front() = stage.formats[1].back() = eight;
  const std::vector<std::vector<int32_t>> tables = {naive::RandomTable(4, 27, 8, 8, 8, &random),
                                                    naive::RandomTable(4, 9, 8, 4, 8, &random),
                                                    {1 << 30, 0, 1 << 30, 0, 1 << 30, -18},
                                                    factor,
                                                    factor,
                                                    factor};
  stage.tables = {tables, tables};
  CutIntoTiles(2, 2, &stage, &random);
  stage.patch_classes = {0, 1, 1, 0};
  for (int32_t k = 0; k < 2; ++k) {
    // Maps placed apart, so that single corruptions hit one rule only.
    for (int32_t m = 1; m < 6; ++m) {
      stage.formats[k][m].scratch_offset = 144 * (m - 1);
      stage.formats[k][m].scratch_bytes = 144;
    }
  }
  return stage;
}

// Positions of words in the valid stage's program.
size_t OpWord(size_t op, size_t field) { return 16 * op + field; }
size_t MapWord(size_t map, size_t field) { return 16 * 6 + 10 * map + field; }
size_t FormatWord(size_t patch_class, size_t map, size_t field) {
  return MapWord(7, 0) + 6 * (7 * patch_class + map) + field;
}
size_t TableOffsetWord(size_t patch_class, size_t op) {
  return FormatWord(2, 0, 0) + 6 * patch_class + op;
}
size_t TileWord(size_t tile) { return TableOffsetWord(2, 0) + tile; }
size_t TableWord(size_t word) { return TileWord(4) + word; }

struct WordCorruption {
  const char* name;
  size_t position;
  int32_t value;
  const char* item;     // of the expected error
  const char* message;  // part of it
};

const WordCorruption kWordCorruptions[] = {
    {"kind_unknown", OpWord(0, 0), 17, "op", "kind"},
    {"reduction_before_the_end", OpWord(4, 0), 6, "op", "reduction"},
    {"kind_negative", OpWord(0, 0), -1, "op", "kind"},
    {"input_unwritten", OpWord(1, 1), 4, "op", "input0"},
    {"input_itself", OpWord(1, 1), 2, "op", "input0"},
    {"input_beyond", OpWord(1, 1), 7, "op", "input0"},
    {"input_negative", OpWord(1, 1), -1, "op", "input0"},
    {"input1_of_conv", OpWord(0, 2), 0, "op", "input1"},
    {"input1_of_add_missing", OpWord(2, 2), -1, "op", "input1"},
    {"input1_of_add_unwritten", OpWord(2, 2), 5, "op", "input1"},
    {"output_is_x", OpWord(0, 3), 0, "op", "map i + the number"},
    {"output_beyond", OpWord(0, 3), 7, "op", "map i + the number"},
    {"output_twice", OpWord(1, 3), 1, "op", "map i + the number"},
    {"output_too_early", OpWord(4, 3), 6, "op", "map i + the number"},
    {"kernel_zero", OpWord(0, 4), 0, "op", "kernel"},
    {"kernel_of_add", OpWord(2, 5), 2, "op", "kernel"},
    {"stride_negative", OpWord(0, 6), -1, "op", "stride"},
    {"stride_of_requantize", OpWord(5, 7), 2, "op", "stride"},
    {"dilation_huge", OpWord(0, 8), 32768, "op", "dilation"},
    {"dilation_of_pool", OpWord(3, 8), 2, "op", "pool"},
    {"pad_huge", OpWord(0, 10), 32768, "op", "pad_top"},
    {"pad_hugely_negative", OpWord(0, 11), -32768, "op", "pad_left"},
    {"pad_of_add", OpWord(2, 10), 1, "op", "pad_top"},
    {"pool_window_in_padding", OpWord(3, 10), 2, "op", "pool"},
    {"pool_window_behind_input", OpWord(3, 11), -2, "op", "pool"},
    {"weight_bits_odd", OpWord(0, 12), 3, "op", "weight_bits"},
    {"weight_bits_of_other_filter", OpWord(0, 12), 4, "op", "filter_bytes"},
    {"weight_bits_of_pool", OpWord(3, 12), 8, "op", "weight_bits"},
    {"depth_multiplier_of_conv", OpWord(0, 13), 1, "op", "depth_multiplier"},
    {"depth_multiplier_zero", OpWord(1, 13), 0, "op", "depth_multiplier"},
    {"depth_multiplier_two", OpWord(1, 13), 2, "op", "depth_multiplier"},
    {"filter_offset_odd", OpWord(0, 14), 2, "op", "filter_offset"},
    {"filter_offset_negative", OpWord(0, 14), -4, "op", "filter_offset"},
    {"filter_beyond_tensor", OpWord(1, 14), 112, "op", "filter"},
    {"filter_bytes_wrong", OpWord(0, 15), 107, "op", "filter_bytes"},
    {"filter_of_requantize", OpWord(5, 15), 4, "op", "filter"},
    {"height_zero", MapWord(0, 0), 0, "map", "height"},
    {"height_negative", MapWord(3, 0), -6, "map", "height"},
    {"width_huge", MapWord(3, 1), 32768, "map", "width"},
    {"channels_zero", MapWord(3, 2), 0, "map", "channels"},
    {"channels_huge", MapWord(3, 2), (1 << 24) + 1, "map", "channels"},
    {"add_of_other_shape", MapWord(2, 1), 5, "op", "shape"},
    {"pool_changes_channels", MapWord(4, 2), 5, "op", "channels"},
    {"y_with_more_tiles", MapWord(6, 0), 32767, "program", "patch classes"},
    {"cache_mode_beyond_the_stages", MapWord(2, 3), 1, "map", "cache_mode"},
    {"columns_kept_without_cache", MapWord(2, 4), 1, "map", "left_columns"},
    {"store_of_nothing", MapWord(2, 6), 4, "map", "store"},
    {"rows_kept_without_cache", MapWord(2, 7), 1, "map", "top_rows"},
    {"bits_odd", FormatWord(0, 2, 0), 7, "map", "bits"},
    {"zero_point_too_wide", FormatWord(1, 2, 1), 8, "map", "zero_point"},
    {"clamp_min_too_small", FormatWord(1, 2, 2), -9, "map", "clamp"},
    {"clamp_crossed", FormatWord(1, 2, 2), 7 + 1, "map", "clamp"},
    {"clamp_max_too_large", FormatWord(1, 2, 3), 8, "map", "clamp"},
    {"x_in_scratch_in_one_class", FormatWord(0, 0, 4), 0, "map", "scratch_offset"},
    {"y_in_scratch", FormatWord(0, 6, 4), 0, "map", "inputs and Y"},
    {"y_with_scratch_bytes", FormatWord(1, 6, 5), 4, "map", "inputs and Y"},
    {"x_differs_between_classes", FormatWord(1, 0, 1), 4, "map", "one format"},
    {"y_differs_between_classes", FormatWord(1, 6, 3), 100, "map", "one format"},
    {"scratch_offset_odd", FormatWord(0, 2, 4), 146, "map", "scratch_offset"},
    {"scratch_offset_negative", FormatWord(0, 2, 4), -1, "map", "scratch_offset"},
    {"scratch_bytes_negative", FormatWord(0, 2, 5), -4, "map", "scratch_bytes"},
    {"scratch_beyond_int32", FormatWord(0, 5, 5), kHuge, "map", "scratch_bytes"},
    {"scratch_too_small", FormatWord(0, 1, 5), 8, "tile", "scratch_bytes"},
    {"scratch_shared_while_live", FormatWord(0, 2, 4), 4, "map", "live"},
    {"output_over_the_input_of_its_op", FormatWord(0, 5, 4), 144 * 3, "map", "live"},
    {"table_offset_negative", TableOffsetWord(0, 0), -1, "op", "table"},
    {"table_offset_beyond", TableOffsetWord(1, 1), 40, "op", "table"},
    {"table_offset_huge", TableOffsetWord(0, 5), kHuge, "op", "table"},
    {"patch_class_beyond", TileWord(3), 2, "tile", "patch class"},
    {"patch_class_negative", TileWord(0), -2, "tile", "patch class"},
    {"bias_too_large", TableWord(0), kHuge, "op", "int32"},
    {"bias_too_small", TableWord(3), -kHuge, "op", "int32"},
    {"multiplier_negative", TableWord(4), -1, "op", "multiplier"},
    {"shift_too_large", TableWord(8), 31, "op", "shift"},
    {"shift_too_small", TableWord(11), -32, "op", "shift"},
    {"add_multiplier_negative", TableWord(24), -1, "op", "multiplier"},
    {"add_output_shift_too_large", TableWord(29), 31, "op", "shift"},
    {"pool_shift_too_small", TableWord(31), -32, "op", "shift"},
};

TEST(PatchStageProgramTest, AcceptsTheValidStage) {
  PatchStageParams params;
  StageError error = {};
  EXPECT_TRUE(Read(Assemble(ValidStage()), &params, &error)) << error.message;
}

TEST(PatchStageProgramTest, RefusesEveryCorruptedWord) {
  const StageProgram valid = Assemble(ValidStage());
  ASSERT_EQ(TableWord(32), valid.words.size());
  for (const WordCorruption& corruption : kWordCorruptions) {
    SCOPED_TRACE(corruption.name);
    StageProgram program = valid;
    program.words[corruption.position] = corruption.value;
    PatchStageParams params;
    StageError error = {};
    ASSERT_FALSE(Read(program, &params, &error));
    EXPECT_STREQ(error.item, corruption.item) << error.message;
    EXPECT_NE(std::string(error.message).find(corruption.message), std::string::npos)
        << error.message;
  }
}

TEST(PatchStageProgramTest, RefusesMapsWhoseBytesLeaveInt32) {
  StageProgram program = Assemble(ValidStage());
  program.words[MapWord(3, 0)] = program.words[MapWord(3, 1)] = 32767;
  PatchStageParams params;
  StageError error = {};
  ASSERT_FALSE(Read(program, &params, &error));
  EXPECT_STREQ(error.message, "must have less than 2^31 values");
}

TEST(PatchStageProgramTest, RefusesBadHeaders) {
  const StageProgram valid = Assemble(ValidStage());
  const PatchStageHeader headers[] = {
      {0, 2, 6, 7, 2},     {2, 0, 6, 7, 2},  {32768, 2, 6, 7, 2}, {2, 2, 0, 1, 2},
      {2, 2, 64, 65, 2},   {2, 2, 6, 8, 2},  {2, 2, 6, 7, 0},     {2, 2, 6, 7, -1},
      {2, 2, 6, 7, kHuge}, {2, 2, -1, 0, 2}, {1, 1, 6, 7, 40},
  };
  for (const PatchStageHeader& header : headers) {
    StageProgram program = valid;
    program.header = header;
    PatchStageParams params;
    StageError error = {};
    EXPECT_FALSE(Read(program, &params, &error));
    EXPECT_NE(error.message, nullptr);
  }
}

TEST(PatchStageProgramTest, RefusesAnOpThatTheBuildHasNoKernelOf) {
  const StageProgram program = Assemble(ValidStage());
  Kernels without[8];
  for (Kernels& kernels : without) kernels = reference::kKernels;
  without[0].conv2d = nullptr;
  without[1].conv2d_scratch_bytes = nullptr;
  without[2].depthwise_conv2d = nullptr;
  without[3].depthwise_conv2d_scratch_bytes = nullptr;
  without[4].add = nullptr;
  without[5].max_pool2d = nullptr;
  without[6].average_pool2d = nullptr;
  without[7].requantize = nullptr;
  const int32_t expected_ops[] = {0, 0, 1, 1, 2, 3, 4, 5};
  for (int i = 0; i < 8; ++i) {
    SCOPED_TRACE("table " + std::to_string(i));
    PatchStageParams params;
    StageError error = {};
    ASSERT_FALSE(Read(program, &params, &error, without[i]));
    EXPECT_EQ(std::string(error.item), "op");
    EXPECT_EQ(error.index, expected_ops[i]);
    EXPECT_EQ(std::string(error.message), "this build has no kernel of the kind");
  }
}

TEST(PatchStageProgramTest, RareOpsNeedWhatRunsThemBesideTheirKernels) {
  Kernels kernels = reference::kKernels;
  EXPECT_TRUE(HasKernel(kernels, kStageMul));
  kernels.rare_op = nullptr;
  EXPECT_FALSE(HasKernel(kernels, kStageMul));
  EXPECT_TRUE(HasKernel(kernels, kStageSub));
}

TEST(PatchStageProgramTest, AcceptsATableOfJustItsKernels) {
  const Window unit = {1, 1, 1, 1, 1, 1, 0, 0};
  const StageFormat in_place = {8, 0, {-128, 127}, -1, 0};
  Stage stage;
  stage.header = {2, 2, 1, 2, 1};
  stage.ops = {{kStageRequantize, 0, -1, 1, unit, 0, 0, 0, 0}};
  stage.maps = {{2, 2, 1}, {2, 2, 1}};
  stage.filters = {{8, 1, {}}};
  stage.formats = {{in_place, in_place}};
  stage.tables = {{{1 << 30, 1}}};
  stage.patch_classes = {0};
  const StageProgram program = Assemble(stage);
  Kernels kernels = {};
  kernels.requantize = reference::Requantize;
  PatchStageParams params;
  StageError error = {};
  ASSERT_TRUE(Read(program, &params, &error, kernels)) << error.message;
  const uint8_t x[] = {1, 2, 3, 4};
  uint8_t y[4] = {};
  ASSERT_EQ(PatchStageScratchBytes(params, kernels), 0u);
  PatchStage(params, kernels, x, nullptr, y);
  EXPECT_EQ(std::vector<uint8_t>(y, y + 4), (std::vector<uint8_t>{1, 2, 3, 4}));
}

// X 2x2x1 -> lut -> Y, from 2 bits to 4, whose clamps are -8 to 6.
Stage LutStage() {
  Stage stage;
  stage.header = {2, 2, 1, 2, 1};
  stage.ops = {{kStageLut, 0, -1, 1, {1, 1, 1, 1, 1, 1, 0, 0}, 0, 0, 0, 0}};
  stage.maps = {{2, 2, 1}, {2, 2, 1}};
  stage.filters = {{8, 1, {}}};
  stage.formats = {{{2, 0, {-2, 1}, -1, 0}, {4, 0, {-8, 6}, -1, 0}}};
  stage.tables = {{{static_cast<int32_t>(0x06F8FF05u)}}};  // 5, -1, -8, 6
  stage.patch_classes = {0};
  return stage;
}

TEST(PatchStageProgramTest, ReadsALutFromItsTable) {
  PatchStageParams params;
  StageError error = {};
  const StageProgram program = Assemble(LutStage());
  ASSERT_TRUE(Read(program, &params, &error)) << error.message;
  const uint8_t x[] = {2, 3, 0, 1};  // -2, -1, 0, 1
  uint8_t y[4] = {};
  PatchStage(params, reference::kKernels, x, nullptr, y);
  EXPECT_EQ(std::vector<uint8_t>(y, y + 4), (std::vector<uint8_t>{0x05, 0x0F, 0x08, 0x06}));
}

TEST(PatchStageProgramTest, RefusesALutThatIsTooShortOrLeavesTheClamps) {
  PatchStageParams params;
  StageError error = {};
  Stage stage = LutStage();
  stage.tables[0][0][0] = static_cast<int32_t>(0x07F8FF05u);
  EXPECT_FALSE(Read(Assemble(stage), &params, &error));
  EXPECT_STREQ(error.message, "an entry of the lut is outside the clamps");
  EXPECT_EQ(error.found, 3);
  stage = LutStage();
  stage.formats[0][0] = {4, 0, {-8, 7}, -1, 0};
  EXPECT_FALSE(Read(Assemble(stage), &params, &error));
  EXPECT_STREQ(error.message, "the table lies outside the tables section");
  Kernels kernels = reference::kKernels;
  kernels.lut = nullptr;
  EXPECT_FALSE(Read(Assemble(LutStage()), &params, &error, kernels));
  EXPECT_STREQ(error.message, "this build has no kernel of the kind");
}

TEST(PatchStageProgramTest, RefusesALateClassForAStreamedInputInTwoPlaces) {
  Stage stage = LutStage();
  stage.header.num_classes = 2;
  stage.formats.push_back(stage.formats[0]);
  stage.tables.push_back(stage.tables[0]);
  stage.patch_classes = {kChosenAtRunTime};
  for (int32_t offset : {0, 4}) {
    stage.formats[0][0].scratch_offset = 0;
    stage.formats[1][0].scratch_offset = offset;
    stage.formats[0][0].scratch_bytes = stage.formats[1][0].scratch_bytes = 4;
    PatchStageParams params;
    StageError error = {};
    EXPECT_EQ(Read(Assemble(stage), &params, &error), offset == 0);
    if (offset != 0) EXPECT_STREQ(error.message, "a class chosen at run time needs X in one place");
  }
}

TEST(PatchStageProgramTest, RefusesEveryTruncation) {
  StageProgram program = Assemble(ValidStage());
  while (!program.words.empty()) {
    program.words.pop_back();
    PatchStageParams params;
    StageError error = {};
    EXPECT_FALSE(Read(program, &params, &error)) << program.words.size() << " words";
  }
}

TEST(PatchStageProgramTest, MapsMayShareScratchWhenNotLiveTogether) {
  Stage stage = ValidStage();
  // A lives until the add, op 2; D is written by op 3.
  stage.formats[0][4].scratch_offset = stage.formats[0][1].scratch_offset;
  PatchStageParams params;
  StageError error = {};
  EXPECT_TRUE(Read(Assemble(stage), &params, &error)) << error.message;
}

// Too much work or memory for a test, though valid.
bool IsTooLarge(const PatchStageParams& params) {
  if (PatchStageScratchBytes(params, reference::kKernels) > 1 << 20) return true;
  for (int32_t i = 0; i < params.header.num_ops; ++i) {
    const Window& window = params.ops[i].window;
    if (SaturatingProduct(window.kernel_height, window.kernel_width) > 1 << 10) return true;
  }
  for (int32_t m = 0; m < params.header.num_maps; ++m) {
    const StageMap& map = params.maps[m];
    if (SaturatingProduct(SaturatingProduct(map.height, map.width), map.channels) > 1 << 14) {
      return true;
    }
  }
  return false;
}

std::vector<uint8_t> BytesOfMap(const PatchStageParams& params, int32_t map) {
  const StageMap& shape = params.maps[map];
  const int32_t pixel_bytes = RunBytes(shape.channels, FormatOf(params, 0, map).bits);
  return std::vector<uint8_t>(size_t(shape.height) * shape.width * pixel_bytes, 0x5A);
}

void RunIfAccepted(const StageProgram& program, int* num_accepted) {
  PatchStageParams params;
  StageError error = {};
  if (!Read(program, &params, &error)) {
    EXPECT_NE(error.message, nullptr);
    return;
  }
  ++*num_accepted;
  if (IsTooLarge(params)) return;
  const std::vector<uint8_t> x = BytesOfMap(params, 0);
  std::vector<uint8_t> y = BytesOfMap(params, params.header.num_maps - 1);
  std::vector<uint8_t> scratch(PatchStageScratchBytes(params, reference::kKernels));
  PatchStage(params, reference::kKernels, x.data(), scratch.data(), y.data());
}

int32_t Corrupted(int32_t value, naive::Random* random) {
  switch (random->Uniform(0, 3)) {
    case 0:
      return WrappingAdd(value, random->Uniform(-2, 2));
    case 1:
      return random->Uniform(-1, 16);
    case 2:
      return static_cast<int32_t>(static_cast<uint32_t>(value) ^ 1u << random->Uniform(0, 31));
    default:
      return random->Of({0, -1, 32767, 32768, 1 << 24, kHuge, -kHuge - 1});
  }
}

TEST(PatchStageProgramTest, SurvivesRandomCorruption) {
  int num_accepted = 0;
  for (uint32_t seed = 0; seed < 300; ++seed) {
    naive::Random random(seed);
    SCOPED_TRACE("seed " + std::to_string(seed));
    Stage stage = RandomStage(random.Uniform(1, 6), random.Uniform(1, 2), 0, &random);
    CutIntoTiles(random.Uniform(1, 4), random.Uniform(1, 4), &stage, &random);
    const StageProgram valid = Assemble(stage);
    for (int i = 0; i < 100; ++i) {
      StageProgram program = valid;
      for (int k = random.Uniform(1, 3); k > 0; --k) {
        const int32_t last = static_cast<int32_t>(program.words.size()) - 1;
        int32_t& word = program.words[random.Uniform(0, last)];
        word = Corrupted(word, &random);
      }
      RunIfAccepted(program, &num_accepted);
    }
  }
  EXPECT_GT(num_accepted, 1000) << "most corruptions of bias words and padding are harmless";
}

}  // namespace
}  // namespace quantmcu
