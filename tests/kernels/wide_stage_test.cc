// Patch stages of several inputs: by hand, on TFLM's node, and what is refused of them.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/kernels/fake_tflm.h"
#include "tests/kernels/naive.h"
#include "tests/kernels/small_stage.h"
#include "tflm_kernels/micro/register.h"

namespace quantmcu {
namespace {

constexpr StageFormat kInPlace = {8, 0, {-128, 127}, -1, 0};
constexpr Window kUnit = {1, 1, 1, 1, 1, 1, 0, 0};
constexpr int32_t kOpWords = 16;

// Y = X * gate a channel / 2, then Y + skip, in tiles of 1x2. Inputs: X, the gate, the skip.
Stage GatedStage() {
  Stage stage;
  stage.header = {1, 2, 2, 5, 1};
  stage.ops = {{kStageMul, 0, 1, 3, kUnit, 0, 0, 0, 0}, {kStageAdd, 3, 2, 4, kUnit, 0, 0, 0, 0}};
  stage.maps = {{2, 3, 2}, {1, 1, 2}, {2, 3, 2}, {2, 3, 2}, {2, 3, 2}};
  stage.filters = {{8, 1, {}}, {8, 1, {}}};
  stage.formats = {{kInPlace, kInPlace, kInPlace, {8, 0, {-128, 127}, 0, 4}, kInPlace}};
  stage.tables = {{{1 << 30, 0}, {1 << 30, 0, 1 << 30, 0, 1 << 30, -18}}};
  stage.patch_classes.resize(4);
  return stage;
}

const std::vector<uint8_t> kX = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
const std::vector<uint8_t> kGate = {2, 4};
const std::vector<uint8_t> kSkip = {100, 90, 80, 70, 60, 50, 40, 30, 20, 10, 0, 1};
const std::vector<uint8_t> kExpected = {101, 94, 83, 78, 65, 62, 47, 46, 29, 30, 11, 25};

TEST(WideStageTest, TilesReadAGateWholeAndTheirPartOfFurtherMaps) {
  const StageProgram program = Assemble(GatedStage());
  PatchStageParams params;
  ASSERT_EQ(Refusal(program, &params), "");
  std::vector<uint8_t> scratch(PatchStageScratchBytes(params, reference::kKernels));
  std::vector<uint8_t> y(kX.size());
  PatchStage(params, reference::kKernels, StageInput(kX.data(), {kGate.data(), kSkip.data()}),
             scratch.data(), y.data());
  EXPECT_EQ(y, kExpected);

  std::vector<uint8_t> stepped(kX.size());
  std::vector<Span> spans(2 * params.header.num_maps);
  StageState state = {};
  Status status = Status::kMore;
  while (status == Status::kMore) {
    status = PatchStageStep(
        params, reference::kKernels, StageInput(kX.data(), {kGate.data(), kSkip.data()}),
        scratch.data(), stepped.data(), &state, spans.data(), static_cast<int32_t>(spans.size()));
  }
  EXPECT_EQ(stepped, kExpected);
}

TEST(WideStageTest, RefusesWhatIsNoStageOfSeveralInputs) {
  const Stage stage = GatedStage();
  const size_t maps = kOpWords * stage.ops.size();
  const size_t formats = maps + 10 * stage.maps.size();
  ExpectRefusals(
      stage,
      {{2, 4, "input1 must be as input0 for add, mul and sub, else -1"},
       {2, 3, "input1 must be as input0 for add, mul and sub, else -1"},
       {1, 3, "input0 must be an input or written by an op before"},
       {3, 2, "op i must write map i + the number of inputs"},
       {kOpWords + 3, 3, "op i must write map i + the number of inputs"},
       {maps + 10 + 2, 3, "a gated map needs the output's shape, its gate as many channels"},
       {maps + 10, 2, "add, mul and sub need inputs of the output's shape"},
       {maps + 20, 1, "add, mul and sub need inputs of the output's shape"},
       {maps + 10 + 3, 1,
        "cache_mode must be at most the stage's, 0 for inputs, Y and what is reduced"},
       {maps + 20 + 4, 1, "left_columns must fit the map and its cache_mode"},
       {formats + 6 + 4, 0, "inputs and Y in memory must have scratch_offset -1, scratch_bytes 0"},
       {formats + 12 + 5, 4, "inputs and Y in memory must have scratch_offset -1, scratch_bytes 0"},
       {formats + 18 + 5, 3, "needs more scratch_bytes than this map has"}});
}

TEST(WideStageTest, RefusesAGateThatTilesWouldMake) {
  Stage stage = GatedStage();
  std::swap(stage.maps[0], stage.maps[1]);
  stage.ops[0].input0 = 1;
  stage.ops[0].input1 = 0;
  PatchStageParams params;
  EXPECT_EQ(Refusal(Assemble(stage), &params), "a gate must be an input behind X");
}

TEST(WideStageTest, RefusesMoreInputsThanThereAre) {
  Stage stage = GatedStage();
  stage.header.num_maps = stage.header.num_ops + 9;
  PatchStageParams params;
  EXPECT_EQ(Refusal(Assemble(stage), &params),
            "num_maps must be num_ops and 1 to 8 inputs, 64 at most: each op writes one map");
}

FakeOptions OptionsOf(int32_t num_inputs) {
  FakeOptions options;
  options.integers = {{"version", 3},       {"tile_height", 1},        {"tile_width", 2},
                      {"num_ops", 2},       {"num_maps", 5},           {"num_classes", 1},
                      {"primed", 0},        {"outlier_low", 0},        {"outlier_high", 0},
                      {"outlier_share", 0}, {"num_inputs", num_inputs}};
  options.strings = {{"cache_mode", "recompute"}};
  return options;
}

std::vector<FakeTensor> TensorsOf(std::vector<int> skip) {
  const StageProgram program = Assemble(GatedStage());
  return {Int8Tensor({1, 2, 3, 2}, kX), Int8Tensor({1, 1, 1, 2}, kGate),
          Int8Tensor(std::move(skip), kSkip), Int8Constant({4}, {0, 0, 0, 0}),
          Int32Constant(program.words)};
}

std::string RefusalOnTflm(int32_t num_inputs, const std::vector<FakeTensor>& tensors) {
  FakeInterpreter node(*Register_QMCU_PATCH_STAGE(), OptionsOf(num_inputs).FlexBuffer(), tensors,
                       Int8Tensor({1, 2, 3, 2}, {}));
  EXPECT_EQ(node.Prepare(), kTfLiteError);
  return node.reports();
}

TEST(WideStageTest, RunsOnTflm) {
  FakeInterpreter node(*Register_QMCU_PATCH_STAGE(), OptionsOf(3).FlexBuffer(),
                       TensorsOf({1, 2, 3, 2}),
                       Int8Tensor({1, 2, 3, 2}, std::vector<uint8_t>(kX.size())));
  ASSERT_EQ(node.Prepare(), kTfLiteOk) << node.reports();
  EXPECT_EQ(node.Invoke(), kExpected);
}

TEST(WideStageTest, TflmRefusesOtherInputsThanTheProgramHas) {
  EXPECT_EQ(RefusalOnTflm(2, TensorsOf({1, 2, 3, 2})),
            "QMCU_PATCH_STAGE: num_maps is 5 and num_ops + num_inputs is 4; they must be equal\n");
  std::vector<FakeTensor> fewer = TensorsOf({1, 2, 3, 2});
  fewer.erase(fewer.begin() + 1);
  EXPECT_NE(RefusalOnTflm(3, fewer).find("the number of inputs is wrong"), std::string::npos);
  EXPECT_NE(RefusalOnTflm(3, TensorsOf({1, 3, 2, 2})).find("input 2"), std::string::npos);
  std::vector<FakeTensor> left_out = TensorsOf({1, 2, 3, 2});
  left_out[2] = LeftOut();
  EXPECT_NE(RefusalOnTflm(3, left_out).find("must not be left out"), std::string::npos);
}

}  // namespace
}  // namespace quantmcu
