// Depthwise convolution, add, pools and requantize: the DSP variants equal the reference in every
// byte, on seeded random cases with the edges in them: channel counts around blocks, windows larger
// than the map and over its border, crops, dilation, row strides of views, factors of any size.
//
// Behind each row and each output stand bytes that must stay.
#include <stdint.h>
#include <string.h>

#include "tests/cortex_m/random_values.h"
#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/cortex_m/kernels_dsp.h"

namespace quantmcu {
namespace {

constexpr int32_t kCases = 1500;  // of each op
constexpr int32_t kMapBytes = 1 << 16;
constexpr int32_t kFilterBytes = 1 << 14;
constexpr int32_t kMaxTestChannels = 40;
constexpr uint8_t kUntouched = 0xA5;

BOARD_ARENA uint8_t g_input0[kMapBytes];
BOARD_ARENA uint8_t g_input1[kMapBytes];
BOARD_ARENA uint8_t g_filter[kFilterBytes];
BOARD_ARENA uint8_t g_expected[kMapBytes];
BOARD_ARENA uint8_t g_actual[kMapBytes];
int32_t g_table[3 * kMaxTestChannels];

int32_t Bits(RandomValues* random) { return 8 >> random->Uniform(0, 2); }

int32_t Channels(RandomValues* random) {
  constexpr int32_t kEdges[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40};
  return kEdges[random->Uniform(0, sizeof(kEdges) / sizeof(kEdges[0]) - 1)];
}

FeatureMap Map(int32_t height, int32_t width, int32_t channels, RandomValues* random) {
  FeatureMap map = {height, width, channels, 0, Bits(random), 0};
  map.zero_point = random->Uniform(QMin(map.bits), QMax(map.bits));
  map.row_bytes = width * PixelBytes(map) + (random->Uniform(0, 1) == 0 ? 0 : 5);
  return map;
}

// Random bytes are random values; the unused bits of a run are 0 as docs/format.md F2 wants.
void FillMap(const FeatureMap& map, uint8_t* pixels, RandomValues* random) {
  for (int32_t i = 0; i < map.height * map.row_bytes + 8; ++i) {
    pixels[i] = static_cast<uint8_t>(random->Uniform(0, 255));
  }
  for (int32_t y = 0; y < map.height; ++y) {
    random->FillRuns(map.width, map.channels, map.bits, pixels + y * map.row_bytes);
  }
}

Clamp AnyClamp(int32_t bits, RandomValues* random) {
  if (random->Uniform(0, 1) == 0) return {QMin(bits), QMax(bits)};
  const int32_t min = random->Uniform(QMin(bits), QMax(bits));
  return {min, random->Uniform(min, QMax(bits))};
}

// Mostly as A2 gives it, sometimes anything that is accepted.
FixedPoint AnyFactor(int32_t min_shift, int32_t max_shift, RandomValues* random) {
  switch (random->Uniform(0, 7)) {
    case 0:
      return {random->Uniform(0, INT32_MAX), random->Uniform(kMinShift, kMaxShift)};
    case 1:
      return {random->Uniform(0, 1) == 0 ? 0 : 1 << 30, random->Uniform(min_shift, 1)};
    case 2:
      return {INT32_MAX, random->Uniform(min_shift, max_shift)};
    default:
      return {random->Uniform(1 << 30, INT32_MAX), random->Uniform(min_shift, max_shift)};
  }
}

int32_t OutputExtent(int32_t input, int32_t reach, int32_t stride, int32_t pad,
                     RandomValues* random) {
  const int32_t whole = (input + 2 * pad - reach) / stride + 1;
  return whole < 1 ? 1 : whole + random->Uniform(0, 1);
}

// With some bytes behind it, which must stay.
int32_t OutputBytes(const FeatureMap& output) { return output.height * output.row_bytes + 64; }

void ClearOutputs(const FeatureMap& output) {
  memset(g_expected, kUntouched, OutputBytes(output));
  memset(g_actual, kUntouched, OutputBytes(output));
}

bool IsSame(const char* op, uint32_t seed, const FeatureMap& output) {
  for (int32_t i = 0; i < OutputBytes(output); ++i) {
    if (g_expected[i] == g_actual[i]) continue;
    BoardWrite(op);
    BoardWrite(" differs\n");
    ReportCount("SEED", seed);
    ReportCount("BYTE", i);
    ReportHex("EXPECTED", g_expected[i]);
    ReportHex("ACTUAL", g_actual[i]);
    return false;
  }
  return true;
}

bool DepthwiseIsSame(uint32_t seed) {
  RandomValues random(seed);
  const int32_t depth_multiplier = random.Uniform(0, 9) == 0 ? 2 : 1;
  const int32_t channels = depth_multiplier == 1 ? Channels(&random) : 7;
  const int32_t largest = random.Uniform(0, 15) == 0 ? 9 : 4;
  Window window = {random.Uniform(1, largest),
                   random.Uniform(1, largest),
                   random.Uniform(1, 3),
                   random.Uniform(1, 3),
                   1,
                   1,
                   random.Uniform(-1, 3),
                   random.Uniform(-1, 3)};
  if (random.Uniform(0, 1) == 0) window.kernel_height = window.kernel_width = 3;
  if (random.Uniform(0, 5) == 0) window.dilation_height = window.dilation_width = 2;
  DepthwiseConv2DParams params = {};
  params.window = window;
  params.depth_multiplier = depth_multiplier;
  params.weight_bits = Bits(&random);
  params.input = Map(random.Uniform(1, 9), random.Uniform(1, 9), channels, &random);
  const int32_t reach_y = (window.kernel_height - 1) * window.dilation_height + 1;
  const int32_t reach_x = (window.kernel_width - 1) * window.dilation_width + 1;
  params.output =
      Map(OutputExtent(params.input.height, reach_y, window.stride_height, window.pad_top, &random),
          OutputExtent(params.input.width, reach_x, window.stride_width, window.pad_left, &random),
          channels * depth_multiplier, &random);
  params.clamp = AnyClamp(params.output.bits, &random);
  const int32_t num_taps = window.kernel_height * window.kernel_width;
  const int32_t o = params.output.channels;
  FillMap(params.input, g_input0, &random);
  random.FillRuns(num_taps, o, params.weight_bits, g_filter);
  random.FillTable(o, num_taps, params.input.bits, params.weight_bits, params.output.bits, g_table);
  if (random.Uniform(0, 3) == 0) {
    for (int32_t c = 0; c < o; ++c) {
      const FixedPoint factor = AnyFactor(-12, 1, &random);
      g_table[c] = random.Uniform(-(1 << 30), 1 << 30);
      g_table[o + c] = factor.multiplier;
      g_table[2 * o + c] = factor.shift;
    }
  }
  ClearOutputs(params.output);
  reference::DepthwiseConv2D(params, g_input0, g_filter, g_table, g_table + o, g_table + 2 * o,
                             g_expected, nullptr);
  dsp::DepthwiseConv2D(params, g_input0, g_filter, g_table, g_table + o, g_table + 2 * o, g_actual,
                       nullptr);
  return IsSame("DepthwiseConv2D", seed, params.output);
}

bool AddIsSame(uint32_t seed) {
  RandomValues random(seed);
  const int32_t height = random.Uniform(1, 5);
  const int32_t width = random.Uniform(1, 5);
  const int32_t channels = Channels(&random);
  AddParams params = {};
  params.input0 = Map(height, width, channels, &random);
  params.input1 = Map(height, width, channels, &random);
  params.output = Map(height, width, channels, &random);
  params.clamp = AnyClamp(params.output.bits, &random);
  const bool is_lawful = random.Uniform(0, 3) != 0;
  const FixedPoint half = {1 << 30, 0};
  params.multipliers.input0 = AnyFactor(-9, 0, &random);
  params.multipliers.input1 = is_lawful ? half : AnyFactor(-9, 0, &random);
  if (random.Uniform(0, 1) == 0) {
    const FixedPoint factor = params.multipliers.input0;
    params.multipliers.input0 = params.multipliers.input1;
    params.multipliers.input1 = factor;
  }
  params.multipliers.output = AnyFactor(-21 + params.output.bits - 8, -17, &random);
  FillMap(params.input0, g_input0, &random);
  FillMap(params.input1, g_input1, &random);
  ClearOutputs(params.output);
  reference::Add(params, g_input0, g_input1, g_expected);
  dsp::Add(params, g_input0, g_input1, g_actual);
  return IsSame("Add", seed, params.output);
}

bool PoolIsSame(uint32_t seed) {
  RandomValues random(seed);
  // Sometimes one window of more taps than their sums have room for in 16 bits.
  const bool is_large = random.Uniform(0, 19) == 0;
  const int32_t smallest = is_large ? 18 : 1;
  const int32_t largest = is_large ? 20 : 4;
  const int32_t kernel_height = random.Uniform(smallest, largest);
  const int32_t kernel_width = random.Uniform(smallest, largest);
  const int32_t height = random.Uniform(smallest, largest);
  const int32_t width = random.Uniform(smallest, largest);
  const Window window = {kernel_height,
                         kernel_width,
                         random.Uniform(1, 3),
                         random.Uniform(1, 3),
                         1,
                         1,
                         random.Uniform(0, kernel_height - 1),
                         random.Uniform(0, kernel_width - 1)};
  const int32_t channels = Channels(&random);
  Pool2DParams params = {};
  params.window = window;
  params.input = Map(height, width, channels, &random);
  params.output = Map((height + window.pad_top - 1) / window.stride_height + 1,
                      (width + window.pad_left - 1) / window.stride_width + 1, channels, &random);
  params.clamp = AnyClamp(params.output.bits, &random);
  params.multiplier = AnyFactor(-8, 8, &random);
  if (!PoolWindowFits(window, height, width, params.output.height, params.output.width)) {
    return true;
  }
  FillMap(params.input, g_input0, &random);
  if (params.input.bits == 8 && random.Uniform(0, 2) == 0) {
    memset(g_input0, random.Uniform(0, 1) == 0 ? INT8_MIN : INT8_MAX,
           params.input.height * params.input.row_bytes);
  }
  ClearOutputs(params.output);
  reference::AveragePool2D(params, g_input0, g_expected);
  dsp::AveragePool2D(params, g_input0, g_actual);
  if (!IsSame("AveragePool2D", seed, params.output)) return false;
  ClearOutputs(params.output);
  reference::MaxPool2D(params, g_input0, g_expected);
  dsp::MaxPool2D(params, g_input0, g_actual);
  return IsSame("MaxPool2D", seed, params.output);
}

bool RequantizeIsSame(uint32_t seed) {
  RandomValues random(seed);
  const int32_t channels = Channels(&random);
  RequantizeParams params = {};
  params.input = Map(random.Uniform(0, 5), random.Uniform(0, 5), channels, &random);
  params.output = Map(random.Uniform(1, 6), random.Uniform(1, 6), channels, &random);
  params.pad_top = random.Uniform(-3, 6);
  params.pad_left = random.Uniform(-3, 6);
  params.clamp = AnyClamp(params.output.bits, &random);
  params.multiplier = AnyFactor(-6, 6, &random);
  if (random.Uniform(0, 2) == 0) {
    params.input.bits = params.output.bits;
    params.input.zero_point = params.output.zero_point;
    params.input.row_bytes = params.input.width * PixelBytes(params.input);
    params.clamp = {QMin(params.output.bits), QMax(params.output.bits)};
    params.multiplier = {1 << 30, 1};
  }
  FillMap(params.input, g_input0, &random);
  ClearOutputs(params.output);
  reference::Requantize(params, g_input0, g_expected);
  dsp::Requantize(params, g_input0, g_actual);
  return IsSame("Requantize", seed, params.output);
}

}  // namespace
}  // namespace quantmcu

int main() {
  using namespace quantmcu;
  for (uint32_t seed = 1; seed <= kCases; ++seed) {
    if (!DepthwiseIsSame(seed) || !AddIsSame(seed) || !PoolIsSame(seed) ||
        !RequantizeIsSame(seed)) {
      return 1;
    }
  }
  ReportCount("CASES", 5 * kCases);
  return 0;
}
