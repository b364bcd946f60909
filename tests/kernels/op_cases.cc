#include "tests/kernels/op_cases.h"

#include "tests/kernels/naive.h"
#include "tests/kernels/stage_builder.h"
#include "tflm_kernels/micro/register.h"

namespace quantmcu {
namespace {

constexpr Window kSame = {3, 3, 1, 1, 1, 1, 1, 1};
constexpr Window kHalf = {2, 2, 2, 2, 1, 1, 0, 0};

FakeTensor MapTensor(const naive::Map& map) {
  const FeatureMap view = map.View();
  return Int8Tensor({1, map.height, map.width, view.row_bytes / view.width}, map.Packed());
}

FakeTensor FilterTensor(std::vector<int> shape, const naive::Filter& filter) {
  shape.push_back((filter.run_length * filter.bits + 7) / 8);
  return Int8Constant(shape, filter.Packed());
}

void SetIn(const naive::Map& input, FakeOptions* options) {
  options->integers["input_channels"] = input.channels;
  options->integers["input_bits"] = input.bits;
  options->integers["input_zero_point"] = input.zero_point;
}

void SetOut(const naive::Map& output, const Clamp& clamp, FakeOptions* options) {
  options->integers["output_channels"] = output.channels;
  options->integers["output_bits"] = output.bits;
  options->integers["output_zero_point"] = output.zero_point;
  options->integers["clamp_min"] = clamp.min;
  options->integers["clamp_max"] = clamp.max;
}

void SetPoolWindow(const Window& window, FakeOptions* options) {
  options->integers["kernel_height"] = window.kernel_height;
  options->integers["kernel_width"] = window.kernel_width;
  options->integers["stride_height"] = window.stride_height;
  options->integers["stride_width"] = window.stride_width;
  options->integers["pad_top"] = window.pad_top;
  options->integers["pad_left"] = window.pad_left;
}

void SetWindow(const Window& window, FakeOptions* options) {
  SetPoolWindow(window, options);
  options->integers["dilation_height"] = window.dilation_height;
  options->integers["dilation_width"] = window.dilation_width;
}

void SetFactor(const std::string& prefix, const FixedPoint& factor, FakeOptions* options) {
  options->integers[prefix + "multiplier"] = factor.multiplier;
  options->integers[prefix + "shift"] = factor.shift;
}

OpCase Finished(const std::string& name, const TFLMRegistration* registration, FakeOptions options,
                std::vector<FakeTensor> inputs, const naive::Map& output) {
  options.integers["version"] = 3;
  FakeTensor output_tensor = MapTensor(output);
  output_tensor.bytes.assign(output_tensor.bytes.size(), 0xFF);
  return {name, registration, options, inputs, output_tensor, output.Packed()};
}

OpCase Conv2DCase() {
  naive::Random random(20);
  const naive::Map input = naive::RandomMap(4, 5, 3, 4, &random);
  naive::Map output = naive::RandomMap(4, 5, 6, 2, &random);
  const naive::Filter filter = naive::RandomFilter(6 * 9, 3, 2, &random);
  const std::vector<int32_t> table = naive::RandomTable(6, 27, 4, 2, 2, &random);
  const Clamp clamp = {-2, 1};
  naive::Conv2D(input, filter, table, kSame, clamp, &output);
  FakeOptions options;
  SetIn(input, &options);
  SetOut(output, clamp, &options);
  SetWindow(kSame, &options);
  options.integers["weight_bits"] = filter.bits;
  return Finished("QMCU_CONV_2D", Register_QMCU_CONV_2D(), options,
                  {MapTensor(input), FilterTensor({6, 3, 3}, filter), Int32Constant(table)},
                  output);
}

OpCase DepthwiseConv2DCase() {
  naive::Random random(21);
  const naive::Map input = naive::RandomMap(4, 4, 3, 8, &random);
  naive::Map output = naive::RandomMap(4, 4, 6, 4, &random);
  const naive::Filter filter = naive::RandomFilter(9, 6, 4, &random);
  const std::vector<int32_t> table = naive::RandomTable(6, 9, 8, 4, 4, &random);
  const Clamp clamp = {-8, 7};
  naive::DepthwiseConv2D(input, filter, table, kSame, clamp, &output);
  FakeOptions options;
  SetIn(input, &options);
  SetOut(output, clamp, &options);
  SetWindow(kSame, &options);
  options.integers["weight_bits"] = filter.bits;
  options.integers["depth_multiplier"] = 2;
  return Finished("QMCU_DEPTHWISE_CONV_2D", Register_QMCU_DEPTHWISE_CONV_2D(), options,
                  {MapTensor(input), FilterTensor({1, 3, 3}, filter), Int32Constant(table)},
                  output);
}

OpCase FullyConnectedCase() {
  naive::Random random(22);
  const naive::Map input = naive::RandomMap(1, 1, 9, 4, &random);
  naive::Map output = naive::RandomMap(1, 1, 5, 8, &random);
  const naive::Filter filter = naive::RandomFilter(5, 9, 8, &random);
  const std::vector<int32_t> table = naive::RandomTable(5, 9, 4, 8, 8, &random);
  const Clamp clamp = {-128, 127};
  naive::Conv2D(input, filter, table, {1, 1, 1, 1, 1, 1, 0, 0}, clamp, &output);
  FakeOptions options;
  SetIn(input, &options);
  SetOut(output, clamp, &options);
  options.integers["weight_bits"] = filter.bits;
  OpCase c = Finished("QMCU_FULLY_CONNECTED", Register_QMCU_FULLY_CONNECTED(), options,
                      {MapTensor(input), FilterTensor({5}, filter), Int32Constant(table)}, output);
  c.inputs[0].shape = {1, 5};
  return c;
}

// The output meets input 0 whole and input 1 from (1, 2).
OpCase AddCase() {
  naive::Random random(23);
  const naive::Map input0 = naive::RandomMap(3, 2, 5, 8, &random);
  const naive::Map input1 = naive::RandomMap(5, 4, 5, 2, &random);
  naive::Map part = naive::EmptyMap(3, 2, 5, 2, input1.zero_point);
  for (int32_t y = 0; y < 3; ++y) {
    for (int32_t x = 0; x < 2; ++x) {
      for (int32_t c = 0; c < 5; ++c) part.At(y, x, c) = input1.At(y + 1, x + 2, c);
    }
  }
  naive::Map output = naive::RandomMap(3, 2, 5, 4, &random);
  const AddMultipliers multipliers = {{1 << 30, 0}, {1518500250, 5}, {1 << 30, -22}};
  const Clamp clamp = {-8, 7};
  naive::Add(input0, part, multipliers, clamp, &output);
  FakeOptions options;
  SetOut(output, clamp, &options);
  SetFactor("input0_", multipliers.input0, &options);
  SetFactor("input1_", multipliers.input1, &options);
  SetFactor("output_", multipliers.output, &options);
  options.integers.insert({{"channels", 5},
                           {"input0_bits", 8},
                           {"input0_zero_point", input0.zero_point},
                           {"input0_top", 0},
                           {"input0_left", 0},
                           {"input1_bits", 2},
                           {"input1_zero_point", input1.zero_point},
                           {"input1_top", 1},
                           {"input1_left", 2}});
  return Finished("QMCU_ADD", Register_QMCU_ADD(), options, {MapTensor(input0), MapTensor(input1)},
                  output);
}

OpCase PoolCase(const std::string& name, const TFLMRegistration* registration,
                void (*law)(const naive::Map&, const Window&, const FixedPoint&, const Clamp&,
                            naive::Map*)) {
  naive::Random random(24);
  const naive::Map input = naive::RandomMap(6, 4, 5, 4, &random);
  naive::Map output = naive::RandomMap(3, 2, 5, 8, &random);
  const FixedPoint factor = {1518500250, 4};
  const Clamp clamp = {-100, 100};
  law(input, kHalf, factor, clamp, &output);
  FakeOptions options;
  SetIn(input, &options);
  SetOut(output, clamp, &options);
  SetPoolWindow(kHalf, &options);
  SetFactor("", factor, &options);
  return Finished(name, registration, options, {MapTensor(input)}, output);
}

OpCase RequantizeCase() {
  naive::Random random(25);
  const naive::Map input = naive::RandomMap(3, 3, 5, 8, &random);
  naive::Map output = naive::RandomMap(5, 4, 5, 4, &random);
  const FixedPoint factor = {1518500250, -3};
  const Clamp clamp = {-8, 6};
  naive::Requantize(input, 1, 1, factor, clamp, &output);
  FakeOptions options;
  SetIn(input, &options);
  SetOut(output, clamp, &options);
  SetFactor("", factor, &options);
  options.integers["pad_top"] = 1;
  options.integers["pad_left"] = 1;
  return Finished("QMCU_REQUANTIZE", Register_QMCU_REQUANTIZE(), options, {MapTensor(input)},
                  output);
}

OpCase LutCase(const char* name, const TFLMRegistration* registration, int32_t num_tables) {
  naive::Random random(27);
  const naive::Map input = naive::RandomMap(3, 3, 5, 4, &random);
  naive::Map output = naive::RandomMap(2, 4, 5, 8, &random);
  const Clamp clamp = {-100, 90};
  const std::vector<int32_t> table = naive::RandomLut(4, clamp, &random, num_tables);
  naive::Lut(input, -1, 1, table, &output);
  FakeOptions options;
  SetIn(input, &options);
  SetOut(output, clamp, &options);
  options.integers["pad_top"] = -1;
  options.integers["pad_left"] = 1;
  return Finished(name, registration, options,
                  {MapTensor(input), Int8Constant({16 * num_tables}, naive::LutBytes(table))},
                  output);
}

}  // namespace

void PrintTo(const OpCase& c, std::ostream* stream) { *stream << c.name; }

OpCase PatchStageCase(int32_t num_ops) {
  naive::Random random(26);
  Stage stage = RandomStage(num_ops, 2, 0, &random);
  CutIntoTiles(2, 3, &stage, &random);
  const naive::Map x = stage.RandomX(&random);
  const StageProgram program = Assemble(stage);
  FakeOptions options;
  options.integers = {{"tile_height", 2},        {"tile_width", 3},     {"num_ops", num_ops},
                      {"num_maps", num_ops + 1}, {"num_classes", 2},    {"primed", 0},
                      {"outlier_low", -128},     {"outlier_high", 127}, {"outlier_share", 65536}};
  options.strings = {{"cache_mode", "recompute"}};
  return Finished(
      "QMCU_PATCH_STAGE", Register_QMCU_PATCH_STAGE(), options,
      {MapTensor(x), Int8Constant({static_cast<int>(program.filters.size())}, program.filters),
       Int32Constant(program.words)},
      stage.ExpectedY(x));
}

std::vector<OpCase> OpCases() {
  return {
      Conv2DCase(),
      DepthwiseConv2DCase(),
      FullyConnectedCase(),
      AddCase(),
      PoolCase("QMCU_AVERAGE_POOL_2D", Register_QMCU_AVERAGE_POOL_2D(), naive::AveragePool2D),
      PoolCase("QMCU_MAX_POOL_2D", Register_QMCU_MAX_POOL_2D(), naive::MaxPool2D),
      RequantizeCase(),
      LutCase("QMCU_LUT", Register_QMCU_LUT(), 1),
      LutCase("QMCU_CHANNEL_LUT", Register_QMCU_CHANNEL_LUT(), 5),
      PatchStageCase(5),
  };
}

OpCase OpCaseOf(const std::string& name) {
  for (OpCase& c : OpCases()) {
    if (c.name == name) return c;
  }
  return {};
}

}  // namespace quantmcu
