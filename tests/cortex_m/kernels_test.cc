// The kernels of a core with fast variants equal the reference in every byte, on seeded random cases
// (random_case.h), whose ends are guarded.
#include "tflm_kernels/cortex_m/kernels.h"

#include <stdint.h>
#include <string.h>

#include "tests/cortex_m/random_case.h"
#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/portable/law/limits.h"
#include "tflm_kernels/portable/ops/add.h"
#include "tflm_kernels/portable/ops/average_pool2d.h"
#include "tflm_kernels/portable/ops/lut.h"
#include "tflm_kernels/portable/ops/max_pool2d.h"
#include "tflm_kernels/portable/ops/pixel_sums.h"
#include "tflm_kernels/portable/ops/requantize.h"

namespace quantmcu {
namespace {

constexpr uint32_t kCases = 3000;  // of each op

// For kernels with a filter and a table, whose parts may stand anywhere.
template <typename Kernel, typename Params>
bool AreEqualWithTable(Kernel* expected, Kernel* actual, size_t scratch_bytes, const Params& params,
                       const uint8_t* input, const uint8_t* filter) {
  static int32_t shifts[kMaxTestChannels];
  const int32_t channels = params.output.channels;
  ChannelTable table = ChannelTableOf(g_table, channels);
  memcpy(shifts, table.shift, sizeof(int32_t) * static_cast<size_t>(channels));
  table.shift = shifts;
  return AreEqual(
      scratch_bytes,
      [&](uint8_t* output) { expected(params, input, filter, table, output, nullptr); },
      [&](uint8_t* output, uint8_t* scratch) {
        actual(params, input, filter, table, output, scratch);
      });
}

template <typename Params>
bool AreEqualWithoutTable(void (*expected)(const Params&, const uint8_t*, uint8_t*),
                          void (*actual)(const Params&, const uint8_t*, uint8_t*),
                          const Params& params, const uint8_t* input) {
  return AreEqual(
      0, [&](uint8_t* output) { expected(params, input, output); },
      [&](uint8_t* output, uint8_t*) { actual(params, input, output); });
}

bool TestConv2D(RandomCase& random) {
  Conv2DParams p;
  p.input = random.Map(random.Uniform(0, 6), random.Uniform(0, 6), random.Channels());
  p.output = random.Map(random.Uniform(1, 5), random.Uniform(1, 5), random.Channels());
  p.window = random.AnyWindow();
  p.clamp = random.AnyClamp(p.output.bits);
  p.weight_bits = random.Bits();
  const int32_t taps = p.window.kernel_height * p.window.kernel_width;
  random.FillAnyTable(p.input, p.output, taps * p.input.channels, p.weight_bits);
  const uint8_t* input = random.Input(p.input);
  const uint8_t* filter = random.Filter(p.output.channels * taps, p.input.channels, p.weight_bits);
  return AreEqualWithTable(reference::Conv2D, kernels::Conv2D, kernels::Conv2DScratchBytes(p), p,
                           input, filter);
}

bool TestDepthwiseConv2D(RandomCase& random) {
  DepthwiseConv2DParams p;
  p.depth_multiplier = random.OneIn(4) ? random.Uniform(2, 9) : 1;
  const int32_t channels = p.depth_multiplier == 1 ? random.Channels() : random.Uniform(1, 11);
  // Half of the cases are of the kind that networks have.
  const bool is_usual = random.OneIn(2);
  const int32_t height = is_usual ? random.Uniform(3, 12) : random.Uniform(0, 9);
  const int32_t width = is_usual ? random.Uniform(3, 12) : random.Uniform(0, 9);
  p.input = random.Map(height, width, channels);
  p.output = random.Map(is_usual ? height : random.Uniform(1, 8),
                        is_usual ? width : random.Uniform(1, 8), channels * p.depth_multiplier);
  p.window = is_usual ? Window{3, 3, 1, 1, 1, 1, 1, 1} : random.AnyWindow();
  if (random.OneIn(16)) p.window.kernel_height = p.window.kernel_width = random.Uniform(5, 9);
  p.clamp = random.AnyClamp(p.output.bits);
  p.weight_bits = random.Bits();
  const int32_t taps = p.window.kernel_height * p.window.kernel_width;
  random.FillAnyTable(p.input, p.output, taps, p.weight_bits);
  const uint8_t* input = random.Input(p.input);
  const uint8_t* filter = random.Filter(taps, p.output.channels, p.weight_bits);
  return AreEqualWithTable(reference::DepthwiseConv2D, kernels::DepthwiseConv2D,
                           kernels::DepthwiseConv2DScratchBytes(p), p, input, filter);
}

FeatureMap OfBytes(FeatureMap map) {
  map.row_bytes += map.width * (map.channels - PixelBytes(map));
  map.bits = 8;
  return map;
}

// Of 8 bits and unclamped, as <Op>Regular wants it. Half of the cases are of the kind that networks have.
bool TestConv2DRegular(RandomCase& random) {
  Conv2DParams p;
  const int32_t channels = random.OneIn(4) ? random.Channels() : 4 * random.Uniform(1, 18);
  const bool is_usual = random.OneIn(2);
  const int32_t stride = random.Uniform(1, 2);
  const int32_t kernel = random.OneIn(2) ? 3 : 1;
  const int32_t height = is_usual ? random.Uniform(2, 9) : random.Uniform(0, 9);
  const int32_t width = is_usual ? random.Uniform(2, 9) : random.Uniform(0, 9);
  const int32_t out_height = is_usual ? (height - 1) / stride + 1 : random.Uniform(1, 5);
  const int32_t out_width = is_usual ? (width - 1) / stride + 1 : random.Uniform(1, 5);
  p.input = OfBytes(random.Map(height, width, channels));
  p.output = OfBytes(random.Map(out_height, out_width, random.Channels()));
  p.window = is_usual ? Window{kernel, kernel, stride, stride, 1, 1, kernel / 2, kernel / 2}
                      : random.AnyWindow();
  p.clamp = {-128, 127};
  p.weight_bits = 8;
  const int32_t taps = p.window.kernel_height * p.window.kernel_width;
  random.FillTable(p.output.channels, taps * channels, 8, 8, 8, g_table);
  const uint8_t* input = random.Input(p.input);
  const uint8_t* filter = random.Filter(p.output.channels * taps, channels, 8);
  return !kernels::IsRegular(p, ChannelTableOf(g_table, p.output.channels)) ||
         AreEqualWithTable(reference::Conv2D, kernels::Conv2DRegular,
                           kernels::Conv2DScratchBytes(p), p, input, filter);
}

// A multiplier of 1, which <Op>Regular wants, or of whole blocks.
bool TestWholeDepthwise(RandomCase& random, int32_t multiplier) {
  DepthwiseConv2DParams p;
  p.depth_multiplier = multiplier;
  const int32_t input_channels =
      multiplier == 1 ? 4 * random.Uniform(1, 18) : random.Uniform(1, 72 / multiplier);
  const int32_t channels = multiplier * input_channels;
  p.input = OfBytes(random.Map(random.Uniform(0, 12), random.Uniform(0, 12), input_channels));
  p.output = OfBytes(random.Map(random.Uniform(1, 10), random.Uniform(1, 10), channels));
  p.window = random.OneIn(2) ? Window{3, 3, 1, 1, 1, 1, 1, 1} : random.AnyWindow();
  p.clamp = {-128, 127};
  p.weight_bits = 8;
  const int32_t taps = p.window.kernel_height * p.window.kernel_width;
  random.FillTable(channels, taps, 8, 8, 8, g_table);
  const uint8_t* input = random.Input(p.input);
  const uint8_t* filter = random.Filter(taps, channels, 8);
  const ChannelTable table = ChannelTableOf(g_table, channels);
  const auto equals = [&](DepthwiseConv2DFn* kernel) {
    return AreEqualWithTable(reference::DepthwiseConv2D, kernel,
                             kernels::DepthwiseConv2DScratchBytes(p), p, input, filter);
  };
  return (!kernels::IsWhole(p, table) || equals(kernels::DepthwiseConv2DWhole)) &&
         (!kernels::IsRegular(p, table) || equals(kernels::DepthwiseConv2DRegular));
}

bool TestDepthwiseConv2DRegular(RandomCase& random) { return TestWholeDepthwise(random, 1); }

bool TestDepthwiseConv2DWhole(RandomCase& random) {
  return TestWholeDepthwise(random, 4 * random.Uniform(1, 4));
}

// Small maps of 8 bits, whose rectangles have few pixels.
bool TestDepthwiseConv2DOfBytes(RandomCase& random) {
  DepthwiseConv2DParams p;
  p.depth_multiplier = 1;
  const int32_t channels = 4 * random.Uniform(1, 9);
  p.input = OfBytes(random.Map(random.Uniform(0, 7), random.Uniform(0, 7), channels));
  p.input.zero_point = random.Uniform(-128, 127);
  p.output = OfBytes(random.Map(random.Uniform(1, 5), random.Uniform(1, 5), channels));
  p.window = random.OneIn(2) ? Window{3, 3, 1, 1, 1, 1, 1, 1} : random.AnyWindow();
  p.clamp = random.AnyClamp(8);
  p.weight_bits = 8;
  const int32_t taps = p.window.kernel_height * p.window.kernel_width;
  random.FillAnyTable(p.input, p.output, taps, 8);
  const uint8_t* input = random.Input(p.input);
  const uint8_t* filter = random.Filter(taps, channels, 8);
  return AreEqualWithTable(reference::DepthwiseConv2D, kernels::DepthwiseConv2D,
                           kernels::DepthwiseConv2DScratchBytes(p), p, input, filter);
}

bool TestFullyConnected(RandomCase& random) {
  FullyConnectedParams p;
  p.input = random.Map(1, 1, random.OneIn(2) ? random.Channels() : random.Uniform(1, 600));
  p.output = random.Map(1, 1, random.Channels());
  p.clamp = random.AnyClamp(p.output.bits);
  p.weight_bits = random.Bits();
  random.FillAnyTable(p.input, p.output, p.input.channels, p.weight_bits);
  const uint8_t* input = random.Input(p.input);
  const uint8_t* filter = random.Filter(p.output.channels, p.input.channels, p.weight_bits);
  return AreEqualWithTable(reference::FullyConnected, kernels::FullyConnected,
                           kernels::FullyConnectedScratchBytes(p), p, input, filter);
}

bool TestAdd(RandomCase& random) {
  AddParams p;
  const int32_t height = random.Uniform(1, 5);
  const int32_t width = random.Uniform(1, 6);
  p.output = random.Map(height, width, random.Channels());
  p.input0 = random.Map(height, width, p.output.channels);
  p.input1 = random.Map(height, width, p.output.channels);
  p.clamp = random.AnyClamp(p.output.bits);
  p.multipliers.input0 = random.AnyFactor(8, 8);
  p.multipliers.input1 = random.AnyFactor(8, random.Uniform(0, 8));
  // By A4 the input with the larger scale has the factor 1/2.
  if (!random.OneIn(4)) {
    (random.OneIn(2) ? p.multipliers.input0 : p.multipliers.input1) = {1 << 30, 0};
  }
  p.multipliers.output = random.AnyFactor(20 + p.input0.bits, p.output.bits);
  const uint8_t* input0 = random.Input(p.input0);
  const uint8_t* input1 = random.SecondInput(p.input1);
  return AreEqual(
      0, [&](uint8_t* output) { reference::Add(p, input0, input1, output); },
      [&](uint8_t* output, uint8_t*) { kernels::Add(p, input0, input1, output); });
}

bool TestPool(RandomCase& random, Pool2DFn* expected, Pool2DFn* actual) {
  Pool2DParams p;
  // Sometimes one window of more taps than their sums have room for in 16 bits.
  const bool is_large = random.OneIn(10);
  const int32_t smallest = is_large ? 14 : 1;
  const int32_t largest = is_large ? 20 : 9;
  p.input = random.Map(random.Uniform(smallest, largest), random.Uniform(smallest, largest),
                       random.Channels());
  p.output = random.Map(random.Uniform(1, 5), random.Uniform(1, 5), p.input.channels);
  if (random.OneIn(3)) p.output = random.MapLike(p.input, p.output.height, p.output.width);
  p.window = random.AnyWindow();
  p.window.dilation_height = p.window.dilation_width = 1;
  if (is_large || random.OneIn(3)) {
    p.window.kernel_height = random.Uniform(smallest, largest);
    p.window.kernel_width = random.Uniform(smallest, largest);
  }
  if (!PoolWindowFits(p.window, p.input.height, p.input.width, p.output.height, p.output.width)) {
    return true;
  }
  p.clamp = random.AnyClamp(p.output.bits);
  p.multiplier =
      random.OneIn(3) ? FixedPoint{1 << 30, 1} : random.AnyFactor(p.input.bits, p.output.bits);
  return AreEqualWithoutTable(expected, actual, p, random.Input(p.input));
}

bool TestAveragePool2D(RandomCase& random) {
  return TestPool(random, reference::AveragePool2D, kernels::AveragePool2D);
}

bool TestMaxPool2D(RandomCase& random) {
  return TestPool(random, reference::MaxPool2D, kernels::MaxPool2D);
}

bool TestRequantize(RandomCase& random) {
  RequantizeParams p;
  p.input = random.Map(random.Uniform(0, 6), random.Uniform(0, 6), random.Channels());
  p.output = random.Map(random.Uniform(1, 6), random.Uniform(1, 6), p.input.channels);
  if (random.OneIn(3)) p.output = random.MapLike(p.input, p.output.height, p.output.width);
  p.pad_top = random.OneIn(2) ? 0 : random.Uniform(-3, 8);
  p.pad_left = random.OneIn(2) ? 0 : random.Uniform(-3, 8);
  p.clamp = random.AnyClamp(p.output.bits);
  p.multiplier =
      random.OneIn(3) ? FixedPoint{1 << 30, 1} : random.AnyFactor(p.input.bits, p.output.bits);
  return AreEqualWithoutTable(reference::Requantize, kernels::Requantize, p, random.Input(p.input));
}

// One table, or one a channel, which ends at a guard.
const uint8_t* LutTables(RandomCase& random, LutParams* params) {
  const int32_t num_entries = NumLutEntries(params->input.bits);
  params->channel_step = random.OneIn(2) ? 0 : num_entries;
  return random.Filter(params->channel_step == 0 ? 1 : params->input.channels, num_entries, 8);
}

bool TestLut(RandomCase& random) {
  LutParams p;
  p.input = random.Map(random.Uniform(0, 6), random.Uniform(0, 6), random.Channels());
  p.output = random.Map(random.Uniform(1, 6), random.Uniform(1, 6), p.input.channels);
  if (random.OneIn(2)) p.input = OfBytes(p.input);
  if (random.OneIn(2)) p.output = OfBytes(p.output);
  p.pad_top = random.OneIn(2) ? 0 : random.Uniform(-3, 8);
  p.pad_left = random.OneIn(2) ? 0 : random.Uniform(-3, 8);
  const uint8_t* tables = LutTables(random, &p);
  const uint8_t* input = random.Input(p.input);
  return AreEqual(
      0, [&](uint8_t* output) { reference::Lut(p, input, tables, output); },
      [&](uint8_t* output, uint8_t*) { kernels::Lut(p, input, tables, output); });
}

// A map of bytes without gaps, as it stands in the arena.
FeatureMap DenseBytes(RandomCase& random) {
  FeatureMap map = random.Map(random.Uniform(1, 5), random.Uniform(1, 6), random.Channels());
  map.bits = 8;
  return random.MapLike(map, map.height, map.width);
}

// Written over its input, or up to 48 bytes before it, as the arena's plan may have it (docs/memory.md).
template <typename Expected, typename Actual>
bool AreEqualInPlace(RandomCase& random, const FeatureMap& map, const uint8_t* input,
                     Expected expected, Actual actual) {
  const auto num_bytes = static_cast<size_t>(map.height * map.row_bytes);
  uint8_t* const place = g_actual + 16 * random.Uniform(0, 3);
  expected(input, g_expected);
  memcpy(place, input, num_bytes);
  actual(place, g_actual);
  return memcmp(g_expected, g_actual, num_bytes) == 0;
}

bool TestAddInPlace(RandomCase& random) {
  AddParams p;
  p.output = DenseBytes(random);
  p.input0 = p.input1 = p.output;
  p.input1.zero_point = random.Uniform(-128, 127);
  p.clamp = random.AnyClamp(8);
  p.multipliers.input0 = random.AnyFactor(8, 8);
  p.multipliers.input1 = random.AnyFactor(8, random.Uniform(0, 8));
  if (!random.OneIn(4)) {
    (random.OneIn(2) ? p.multipliers.input0 : p.multipliers.input1) = {1 << 30, 0};
  }
  p.multipliers.output = random.AnyFactor(28, 8);
  const uint8_t* other = random.SecondInput(p.input1);
  const bool is_first = random.OneIn(2);
  const auto run = [&](AddFn* add, const uint8_t* input, uint8_t* output) {
    add(p, is_first ? input : other, is_first ? other : input, output);
  };
  return AreEqualInPlace(
      random, p.output, random.Input(p.input0),
      [&](const uint8_t* input, uint8_t* output) { run(reference::Add, input, output); },
      [&](const uint8_t* input, uint8_t* output) { run(kernels::Add, input, output); });
}

bool TestRequantizeInPlace(RandomCase& random) {
  RequantizeParams p;
  p.input = p.output = DenseBytes(random);
  if (random.OneIn(2)) p.output.zero_point = random.Uniform(-128, 127);
  p.pad_top = p.pad_left = 0;
  p.clamp = random.AnyClamp(8);
  p.multiplier = random.OneIn(3) ? FixedPoint{1 << 30, 1} : random.AnyFactor(8, 8);
  return AreEqualInPlace(
      random, p.output, random.Input(p.input),
      [&](const uint8_t* input, uint8_t* output) { reference::Requantize(p, input, output); },
      [&](const uint8_t* input, uint8_t* output) { kernels::Requantize(p, input, output); });
}

bool TestLutInPlace(RandomCase& random) {
  LutParams p;
  p.input = p.output = DenseBytes(random);
  p.pad_top = p.pad_left = 0;
  const uint8_t* tables = LutTables(random, &p);
  return AreEqualInPlace(
      random, p.output, random.Input(p.input),
      [&](const uint8_t* input, uint8_t* output) { reference::Lut(p, input, tables, output); },
      [&](const uint8_t* input, uint8_t* output) { kernels::Lut(p, input, tables, output); });
}

// Sums go on from what is there; sometimes of more pixels than have room in 16 bits.
bool TestSumPixels(RandomCase& random) {
  const bool is_large = random.OneIn(8);
  const FeatureMap input =
      is_large ? random.Map(random.Uniform(1, 20), random.Uniform(250, 600), random.Uniform(1, 9))
               : random.Map(random.Uniform(0, 9), random.Uniform(0, 9), random.Channels());
  const uint8_t* pixels = random.Input(input);
  return AreEqual(
      0,
      [&](uint8_t* output) {
        reference::SumPixels(input, pixels, reinterpret_cast<int32_t*>(output));
      },
      [&](uint8_t* output, uint8_t*) {
        kernels::SumPixels(input, pixels, reinterpret_cast<int32_t*>(output));
      });
}

// A part of a map, whose weights stand among those of all of it.
bool TestDotPixels(RandomCase& random) {
  DotPixelsParams p;
  p.weight_bits = random.OneIn(3) ? random.Bits() : 8;
  const int32_t channels = 8 / p.weight_bits * random.Uniform(1, 9);  // of whole bytes
  p.map_height = random.Uniform(1, 6);
  p.map_width = random.Uniform(1, 6);
  p.input = random.Map(random.Uniform(1, p.map_height), random.Uniform(1, p.map_width), channels);
  if (random.OneIn(2)) p.input.bits = 8;
  if (random.OneIn(2)) p.input = random.MapLike(p.input, p.input.height, p.map_width);
  p.input.row_bytes = p.input.width * PixelBytes(p.input) + (random.OneIn(2) ? 0 : 3);
  p.row = random.Uniform(0, p.map_height - p.input.height);
  p.column = random.Uniform(0, p.map_width - p.input.width);
  p.num_outputs = random.Uniform(1, 9);
  const uint8_t* pixels = random.Input(p.input);
  const uint8_t* filter =
      random.Filter(p.num_outputs, p.map_height * p.map_width * channels, p.weight_bits);
  return AreEqual(
      0,
      [&](uint8_t* output) {
        reference::DotPixels(p, pixels, filter, reinterpret_cast<int32_t*>(output));
      },
      [&](uint8_t* output, uint8_t*) {
        kernels::DotPixels(p, pixels, filter, reinterpret_cast<int32_t*>(output));
      });
}

uint64_t CountFailures(const char* op, bool (*test)(RandomCase&)) {
  uint64_t failures = 0;
  for (uint32_t seed = 1; seed <= kCases; ++seed) {
    RandomCase random(seed);
    if (test(random) || failures++ >= 3) continue;
    BoardWrite(op);
    ReportCount(" FAILED_SEED", seed);
  }
  return failures;
}

}  // namespace
}  // namespace quantmcu

int main() {
  using namespace quantmcu;
  ReportCount("GUARDED", GuardEnds());
  uint64_t failures = CountFailures("conv_2d", TestConv2D);
  failures += CountFailures("depthwise_conv_2d", TestDepthwiseConv2D);
  failures += CountFailures("conv_2d_regular", TestConv2DRegular);
  failures += CountFailures("depthwise_conv_2d_regular", TestDepthwiseConv2DRegular);
  failures += CountFailures("depthwise_conv_2d_whole", TestDepthwiseConv2DWhole);
  failures += CountFailures("depthwise_conv_2d_of_bytes", TestDepthwiseConv2DOfBytes);
  failures += CountFailures("fully_connected", TestFullyConnected);
  failures += CountFailures("add", TestAdd);
  failures += CountFailures("average_pool_2d", TestAveragePool2D);
  failures += CountFailures("max_pool_2d", TestMaxPool2D);
  failures += CountFailures("requantize", TestRequantize);
  failures += CountFailures("lut", TestLut);
  failures += CountFailures("sum_pixels", TestSumPixels);
  failures += CountFailures("dot_pixels", TestDotPixels);
  failures += CountFailures("add in place", TestAddInPlace);
  failures += CountFailures("requantize in place", TestRequantizeInPlace);
  failures += CountFailures("lut in place", TestLutInPlace);
  ReportCount("FAILURES", failures);
  return failures == 0 ? 0 : 1;
}
