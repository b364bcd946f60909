// The TFLM ops around the kernels: one valid node of each runs, and everything that can be wrong
// with it is refused with a sentence that names the op.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/kernels/fake_tflm.h"
#include "tests/kernels/naive.h"
#include "tests/kernels/op_cases.h"
#include "tflm_kernels/micro/hook.h"
#include "tflm_kernels/micro/input_reader.h"
#include "tflm_kernels/micro/patch_stage.h"
#include "tflm_kernels/portable/stage/stored_map.h"

namespace quantmcu {
namespace {

FakeInterpreter Interpreter(const OpCase& c) {
  return FakeInterpreter(*c.registration, c.options.FlexBuffer(), c.inputs, c.output);
}

void ExpectRefusal(FakeInterpreter* interpreter, const OpCase& c, const std::string& words) {
  EXPECT_EQ(interpreter->Prepare(), kTfLiteError);
  const std::string& reports = interpreter->reports();
  EXPECT_EQ(reports.rfind(c.name + ": ", 0), 0u) << reports;
  EXPECT_EQ(reports.find('\n'), reports.size() - 1) << "more than one sentence: " << reports;
  EXPECT_NE(reports.find(words), std::string::npos) << "no \"" << words << "\" in: " << reports;
}

void ExpectRefusal(const OpCase& c, const std::string& words) {
  FakeInterpreter interpreter = Interpreter(c);
  ExpectRefusal(&interpreter, c, words);
}

class MicroOpTest : public testing::TestWithParam<OpCase> {};

void ExpectTheLaw(const OpCase& c) {
  FakeInterpreter interpreter = Interpreter(c);
  ASSERT_EQ(interpreter.Prepare(), kTfLiteOk) << interpreter.reports();
  naive::ExpectSameBytes(c.expected, interpreter.Invoke());
  naive::ExpectSameBytes(c.expected, interpreter.Invoke());
  EXPECT_EQ(interpreter.reports(), "");
}

TEST_P(MicroOpTest, RunsAValidNode) { ExpectTheLaw(GetParam()); }

TEST_P(MicroOpTest, RefusesEveryMissingOrIllTypedOption) {
  for (const auto& [key, value] : GetParam().options.integers) {
    OpCase c = GetParam();
    c.options.integers.erase(key);
    ExpectRefusal(c, key + " is missing");
    c.options.strings[key] = std::to_string(value);
    ExpectRefusal(c, key + " is not an integer");
  }
  for (const auto& [key, value] : GetParam().options.strings) {
    OpCase c = GetParam();
    c.options.strings.erase(key);
    ExpectRefusal(c, key + " is missing");
    c.options.integers[key] = 0;
    ExpectRefusal(c, key + " is not a string");
    c = GetParam();
    c.options.strings[key] = value + "x";
    ExpectRefusal(c, key + " is \"" + value + "x\"");
  }
}

TEST_P(MicroOpTest, RefusesEveryOptionOutOfRange) {
  for (const auto& [key, value] : GetParam().options.integers) {
    for (int64_t extreme : {int64_t{1} << 40, -(int64_t{1} << 40)}) {
      OpCase c = GetParam();
      c.options.integers[key] = extreme;
      ExpectRefusal(c, key + " is ");
    }
  }
}

TEST_P(MicroOpTest, RefusesUnknownKeysVersionsAndBytes) {
  OpCase c = GetParam();
  c.options.integers["novelty"] = 1;
  ExpectRefusal(c, "keys");
  c = GetParam();
  for (int64_t version : {1, 4}) {
    c.options.integers["version"] = version;
    ExpectRefusal(c, "version is " + std::to_string(version) + "; supported is 2 to 3");
  }
  FakeInterpreter no_map(*c.registration, {1, 2, 3, 4}, c.inputs, c.output);
  ExpectRefusal(&no_map, c, "custom_options");
}

// Keys of version 3 that may be left out, and what each op says of another value.
TEST_P(MicroOpTest, RefusesPlacesThatNobodyFillsYet) {
  const bool is_stage = GetParam().name == "QMCU_PATCH_STAGE";
  const bool has_filter = GetParam().options.integers.count("weight_bits") > 0;
  for (const auto& [key, known] : {std::pair<std::string, int64_t>{"filter_layout", 0},
                                   {"num_outputs", 1},
                                   {"span_tables", 0}}) {
    const bool is_its_own = key == "filter_layout" ? has_filter : is_stage;
    OpCase c = GetParam();
    c.options.integers[key] = known + 1;
    ExpectRefusal(c, is_its_own ? key + " is " + std::to_string(known + 1) : "keys");
    c.options.integers[key] = known;
    c.options.integers["version"] = 2;
    ExpectRefusal(c, "keys");
    c.options.integers["version"] = 3;
    if (is_its_own) ExpectTheLaw(c);
  }
}

// Words that no ARMv6-M core could read.
TEST_P(MicroOpTest, RefusesWordsThatAreNotAligned) {
  const OpCase& c = GetParam();
  FakeInterpreter interpreter(*c.registration, c.options.FlexBuffer(), c.inputs, c.output);
  interpreter.Misalign();
  bool has_words = false;
  for (const FakeTensor& input : c.inputs) has_words |= input.type == kTfLiteInt32;
  EXPECT_EQ(interpreter.Prepare(), has_words ? kTfLiteError : kTfLiteOk) << interpreter.reports();
  const size_t found = interpreter.reports().find("must stand on a multiple of 4");
  EXPECT_EQ(found != std::string::npos, has_words) << interpreter.reports();
}

// Keys for people, of version 3 and of stages alone.
TEST_P(MicroOpTest, PassesOverRemarks) {
  OpCase c = GetParam();
  c.options.integers["tile_grid"] = 7;
  c.options.integers["ops"] = 1;
  if (c.name == "QMCU_PATCH_STAGE") {
    ExpectTheLaw(c);
    c.options.integers["version"] = 2;
  }
  ExpectRefusal(c, "keys");
}

TEST_P(MicroOpTest, ReadsVersion2) {
  OpCase c = GetParam();
  c.options.integers["version"] = 2;
  ExpectTheLaw(c);
}

TEST_P(MicroOpTest, RefusesAFullArena) {
  FakeInterpreter interpreter = Interpreter(GetParam());
  interpreter.FailAllocations();
  ExpectRefusal(&interpreter, GetParam(), "arena");
}

TEST_P(MicroOpTest, RefusesTensorsOfOtherTypeShapeOrNumber) {
  const size_t num_inputs = GetParam().inputs.size();
  for (size_t i = 0; i < num_inputs; ++i) {
    const std::string input = "input " + std::to_string(i);
    OpCase c = GetParam();
    c.inputs[i].type = c.inputs[i].type == kTfLiteInt8 ? kTfLiteInt32 : kTfLiteInt8;
    ExpectRefusal(c, input + " must be int");
    if (c.name == "QMCU_PATCH_STAGE" && i > 0) continue;  // patch_stage_program_test
    c = GetParam();
    c.inputs[i].shape.back() += 1;
    ExpectRefusal(c, input + " has ");
    c = GetParam();
    c.inputs[i].shape = {};
    ExpectRefusal(c, input);
    c = GetParam();
    c.inputs[i].shape.front() = -1;
    ExpectRefusal(c, input);
  }
  OpCase c = GetParam();
  c.inputs.pop_back();
  ExpectRefusal(c, "number of inputs");
  c = GetParam();
  c.output.type = kTfLiteInt32;
  ExpectRefusal(c, "output 0 must be int8");
  c = GetParam();
  c.output.shape.back() += 1;
  ExpectRefusal(c, "output 0 has ");
  c = GetParam();
  c.output.shape.front() = 2;
  ExpectRefusal(c, "output 0 has 2 batches");
}

TEST_P(MicroOpTest, RefusesFiltersAndTablesThatAreNotConstant) {
  for (size_t i = 0; i < GetParam().inputs.size(); ++i) {
    if (!GetParam().inputs[i].is_constant) continue;
    OpCase c = GetParam();
    c.inputs[i].is_constant = false;
    ExpectRefusal(c, "input " + std::to_string(i) + " must be a constant");
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, MicroOpTest, testing::ValuesIn(OpCases()),
                         [](const testing::TestParamInfo<OpCase>& info) {
                           return info.param.name;
                         });

struct ValueRefusal {
  const char* op;
  const char* key;
  int64_t value;
  const char* words;
};

TEST(MicroOpOptionsTest, RefusesValuesThatDoNotFitTogether) {
  const ValueRefusal refusals[] = {
      {"QMCU_CONV_2D", "input_bits", 3, "input_bits is 3; supported are 8, 4 and 2"},
      {"QMCU_CONV_2D", "input_zero_point", 8, "input_zero_point is 8; supported is -8 to 7"},
      {"QMCU_CONV_2D", "clamp_max", 2, "clamp_max is 2; supported is -2 to 1"},
      {"QMCU_CONV_2D", "kernel_height", 0, "kernel_height is 0; supported is 1 to 32767"},
      {"QMCU_CONV_2D", "kernel_height", 5, "input 1 has 54 bytes; its op needs 90"},
      {"QMCU_CONV_2D", "weight_bits", 4, "input 1 has 54 bytes; its op needs 108"},
      {"QMCU_CONV_2D", "input_channels", 2, nullptr},
      {"QMCU_DEPTHWISE_CONV_2D", "depth_multiplier", 1,
       "input_channels times depth_multiplier is 3; they must be equal"},
      {"QMCU_FULLY_CONNECTED", "input_channels", 11, "input 0 has 5 bytes; its op needs 6"},
      {"QMCU_ADD", "channels", 4, "channels is 4 and output_channels is 5"},
      {"QMCU_ADD", "input0_top", 1, "input 0 must cover the output"},
      {"QMCU_ADD", "input1_left", 3, "input 1 must cover the output"},
      {"QMCU_ADD", "input1_left", -1, "input1_left is -1"},
      {"QMCU_MAX_POOL_2D", "input_channels", 6, "input_channels is 6 and output_channels is 5"},
      {"QMCU_MAX_POOL_2D", "pad_top", 2, "every window"},
      {"QMCU_AVERAGE_POOL_2D", "pad_left", -3, "every window"},
      {"QMCU_AVERAGE_POOL_2D", "shift", 31, "shift is 31; supported is -31 to 30"},
      {"QMCU_REQUANTIZE", "multiplier", -1, "multiplier is -1"},
      {"QMCU_LUT", "input_channels", 4, "input_channels is 4 and output_channels is 5"},
      {"QMCU_LUT", "input_bits", 8, "input 0 has 3 bytes a pixel; its op needs 5"},
      {"QMCU_LUT", "clamp_max", -90, "input 1 has an entry outside the clamps (found "},
      {"QMCU_CHANNEL_LUT", "clamp_max", -90, "input 1 has an entry outside the clamps (found "},
      {"QMCU_PATCH_STAGE", "num_maps", 7, "num_maps is 7 and num_ops + num_inputs is 6"},
      {"QMCU_PATCH_STAGE", "num_inputs", 9, "num_inputs is 9; supported is 1 to 8"},
      {"QMCU_PATCH_STAGE", "tile_height", 0, "tile_height is 0"},
  };
  for (const ValueRefusal& refusal : refusals) {
    SCOPED_TRACE(std::string(refusal.op) + " " + refusal.key);
    OpCase c = OpCaseOf(refusal.op);
    c.options.integers[refusal.key] = refusal.value;
    if (refusal.words != nullptr) {
      ExpectRefusal(c, refusal.words);
    } else {
      // Two channels of 4 bits take fewer bytes than the tensors have.
      ExpectRefusal(c, "its op needs");
    }
  }
}

void SetTableWord(size_t word, int32_t value, OpCase* c) {
  for (int b = 0; b < 4; ++b) {
    c->inputs[2].bytes[4 * word + b] = static_cast<uint8_t>(static_cast<uint32_t>(value) >> 8 * b);
  }
}

TEST(MicroOpTableTest, RefusesChannelsOutOfRange) {
  for (const char* op : {"QMCU_CONV_2D", "QMCU_DEPTHWISE_CONV_2D", "QMCU_FULLY_CONNECTED"}) {
    const OpCase valid = OpCaseOf(op);
    const size_t num_channels = valid.inputs[2].bytes.size() / 12;
    const std::pair<size_t, int32_t> words[] = {{1, INT32_MAX},
                                                {1, INT32_MIN},
                                                {num_channels + 1, -1},
                                                {2 * num_channels + 1, 31},
                                                {2 * num_channels + 1, -32}};
    for (const auto& [word, value] : words) {
      OpCase c = valid;
      SetTableWord(word, value, &c);
      ExpectRefusal(c, "input 2 has a channel");
    }
  }
}

TEST(MicroOpTableTest, RefusesALutOfAnotherWidth) {
  OpCase c = OpCaseOf("QMCU_LUT");
  c.inputs[1] = Int8Constant({4}, {0, 1, 2, 3});
  ExpectRefusal(c, "input 1 has 4 entries; its op needs 16");
  c = OpCaseOf("QMCU_CHANNEL_LUT");
  c.inputs[1] = OpCaseOf("QMCU_LUT").inputs[1];
  ExpectRefusal(c, "input 1 has 16 entries; its op needs 80");
}

TEST(PatchStageOpTest, RequestsScratchForInnerMapsOnly) {
  for (int32_t num_ops : {1, 2}) {
    const OpCase c = PatchStageCase(num_ops);
    FakeInterpreter interpreter = Interpreter(c);
    ASSERT_EQ(interpreter.Prepare(), kTfLiteOk) << interpreter.reports();
    EXPECT_EQ(interpreter.num_scratch_requests(), num_ops - 1);
    naive::ExpectSameBytes(c.expected, interpreter.Invoke());
  }
}

TEST(PatchStageOpTest, ReportsThePartOfTheProgramThatIsWrong) {
  OpCase c = OpCaseOf("QMCU_PATCH_STAGE");
  c.inputs[2].bytes[0] = 99;
  ExpectRefusal(c, "op 0: kind must be 0 to ");
}

TEST(PatchStageOpTest, RefusesAFilterLayoutThatItLacks) {
  OpCase c = OpCaseOf("QMCU_PATCH_STAGE");
  std::vector<uint8_t>& program = c.inputs[2].bytes;
  size_t first_bits = 4 * 12;  // word weight_bits of op 0
  int op = 0;
  for (; program[first_bits] == 0; first_bits += 4 * 16) ++op;  // the first op with a filter
  program[first_bits + 1] = 1;
  ExpectRefusal(c, "op " + std::to_string(op) + ": the filter's layout must be 0 (found 1)");
}

constexpr Kernels kNoKernels = {};

TEST(PatchStageOpTest, RefusesAnOpThatTheBuildHasNoKernelOf) {
  OpCase c = OpCaseOf("QMCU_PATCH_STAGE");
  c.registration = RegisterPatchStage<kNoKernels>();
  ExpectRefusal(c, "op 0: this build has no kernel of the kind (found ");
}

TEST(PatchStageOpTest, RefusesTensorsThatAreNotXAndY) {
  OpCase c = OpCaseOf("QMCU_PATCH_STAGE");
  const int height = c.inputs[0].shape[1]++;
  ExpectRefusal(c, "input 0 has " + std::to_string(height + 1) + " rows; its op needs " +
                       std::to_string(height));
  c = OpCaseOf("QMCU_PATCH_STAGE");
  const int width = c.output.shape[2]++;
  ExpectRefusal(c, "output 0 has " + std::to_string(width + 1) + " columns; its op needs " +
                       std::to_string(width));
}

// A stage of one op whose program gives X a buffer, and so leaves out the input.
OpCase StreamedStageCase() {
  OpCase c = PatchStageCase(1);
  const std::vector<int>& x = c.inputs[0].shape;
  const int32_t num_maps = 2;
  for (int32_t patch_class = 0; patch_class < 2; ++patch_class) {
    const size_t format = 16 + 10 * num_maps + 6 * num_maps * patch_class;
    const int32_t place[] = {0, x[1] * x[2] * x[3]};  // scratch_offset, scratch_bytes
    std::memcpy(c.inputs[2].bytes.data() + 4 * (format + 4), place, sizeof(place));
  }
  c.inputs[0] = LeftOut();
  return c;
}

TEST(StreamedStageOpTest, ReadsItsInputFromTheReader) {
  const FakeTensor x = PatchStageCase(1).inputs[0];
  const StoredMap source = {x.bytes.data(), x.shape[2], x.shape[3]};
  SetInputReader(ReaderOf(source));
  const OpCase c = StreamedStageCase();
  FakeInterpreter interpreter = Interpreter(c);
  ASSERT_EQ(interpreter.Prepare(), kTfLiteOk) << interpreter.reports();
  naive::ExpectSameBytes(c.expected, interpreter.Invoke());
  SetInputReader({});
}

TEST(StreamedStageOpTest, FailsWhereTheReaderDoes) {
  int32_t num_reads = 0;
  SetInputReader({[](void* context, const InputRegion&) {
                    ++*static_cast<int32_t*>(context);
                    return false;
                  },
                  &num_reads});
  FakeInterpreter interpreter = Interpreter(StreamedStageCase());
  ASSERT_EQ(interpreter.Prepare(), kTfLiteOk) << interpreter.reports();
  EXPECT_EQ(interpreter.Eval(), kTfLiteError);
  EXPECT_EQ(interpreter.reports(), "QMCU_PATCH_STAGE: the input reader failed\n");
  EXPECT_EQ(num_reads, 1);
  SetInputReader({});
}

// Stops when it is called once more than `allowed`.
struct Stopper {
  int32_t allowed;
  std::vector<int32_t> tiles;

  static bool MayGoOn(void* context, const Progress& next) {
    auto* self = static_cast<Stopper*>(context);
    EXPECT_EQ(next.op, -1);
    self->tiles.push_back(next.tile);
    return static_cast<int32_t>(self->tiles.size()) <= self->allowed;
  }
};

// What a hook is told where all goes well; then it stops the op at each of its calls, in turn.
std::vector<int32_t> ToldTiles(const OpCase& c) {
  Stopper all = {INT32_MAX, {}};
  SetHook({Stopper::MayGoOn, &all});
  FakeInterpreter interpreter = Interpreter(c);
  EXPECT_EQ(interpreter.Prepare(), kTfLiteOk) << interpreter.reports();
  naive::ExpectSameBytes(c.expected, interpreter.Invoke());
  for (size_t allowed = 0; allowed < all.tiles.size(); ++allowed) {
    Stopper some = {static_cast<int32_t>(allowed), {}};
    SetHook({Stopper::MayGoOn, &some});
    FakeInterpreter stopped = Interpreter(c);
    EXPECT_EQ(stopped.Prepare(), kTfLiteOk) << stopped.reports();
    EXPECT_EQ(stopped.Eval(), kTfLiteError);
    EXPECT_NE(stopped.reports().find("the hook stopped the inference\n"), std::string::npos);
    EXPECT_EQ(some.tiles.size(), allowed + 1);
  }
  SetHook({});
  return all.tiles;
}

TEST(PatchStageOpTest, CallsTheHookAroundItAndBeforeEachTileAndStopsWhereItSays) {
  const std::vector<int32_t> tiles = ToldTiles(OpCaseOf("QMCU_PATCH_STAGE"));
  ASSERT_GT(tiles.size(), 3u);
  EXPECT_EQ(tiles.front(), -1);
  EXPECT_EQ(tiles.back(), -1);
  for (size_t i = 1; i + 1 < tiles.size(); ++i) EXPECT_EQ(tiles[i], static_cast<int32_t>(i) - 1);
}

TEST(MicroOpTest, CallsTheHookAtItsBeginAndEnd) {
  for (const char* op :
       {"QMCU_CONV_2D", "QMCU_DEPTHWISE_CONV_2D", "QMCU_FULLY_CONNECTED", "QMCU_ADD",
        "QMCU_AVERAGE_POOL_2D", "QMCU_MAX_POOL_2D", "QMCU_REQUANTIZE", "QMCU_LUT"}) {
    EXPECT_EQ(ToldTiles(OpCaseOf(op)), (std::vector<int32_t>{-1, -1})) << op;
  }
}

TEST(StreamedStageOpTest, RefusesToRunWithoutAReader) {
  ExpectRefusal(StreamedStageCase(), "call quantmcu::SetInputReader before AllocateTensors");
}

TEST(StreamedStageOpTest, RefusesAnInputThatTheProgramDoesNotRead) {
  OpCase c = StreamedStageCase();
  c.inputs[0] = PatchStageCase(1).inputs[0];
  ExpectRefusal(c, "input 0 must be left out if the program streams X, and only then");
  c = OpCaseOf("QMCU_PATCH_STAGE");
  c.inputs[0] = LeftOut();
  ExpectRefusal(c, "input 0 must be left out if the program streams X, and only then");
}

TEST(MapOpTest, TakesVectorsAsMapsOfOnePixel) {
  // 3, -2 at 8 bits to 4 bits, by a factor of one.
  OpCase c = OpCaseOf("QMCU_REQUANTIZE");
  c.options.integers.insert_or_assign("input_channels", 2);
  c.options.integers.insert_or_assign("output_channels", 2);
  c.options.integers.insert_or_assign("input_zero_point", 0);
  c.options.integers.insert_or_assign("output_zero_point", 0);
  c.options.integers.insert_or_assign("pad_top", 0);
  c.options.integers.insert_or_assign("pad_left", 0);
  c.options.integers.insert_or_assign("multiplier", 1 << 30);
  c.options.integers.insert_or_assign("shift", 1);
  c.inputs[0] = Int8Tensor({1, 2}, {0x03, 0xFE});
  c.output = Int8Tensor({1, 1}, {0xFF});
  FakeInterpreter interpreter = Interpreter(c);
  ASSERT_EQ(interpreter.Prepare(), kTfLiteOk) << interpreter.reports();
  EXPECT_EQ(interpreter.Invoke(), (std::vector<uint8_t>{0xE3}));
}

}  // namespace
}  // namespace quantmcu
