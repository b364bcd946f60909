// The kernels of cortex_m/*_mve.cc give the bytes of the reference: seeded random shapes, windows,
// row strides, formats and factors, extremes among them, and a sweep of the fixed-point rounding.
//
// Inputs end where DTCM ends and filters where ITCM ends, so that a read behind them faults;
// outputs and scratch are followed by bytes that must keep their values.
#include "tflm_kernels/cortex_m/kernels_mve.h"

#include <stdint.h>
#include <string.h>

#include "tests/cortex_m/random_values.h"
#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/cortex_m/fixed_point_mve.h"
#include "tflm_kernels/portable/average_pool2d.h"
#include "tflm_kernels/portable/max_pool2d.h"

namespace quantmcu {
namespace {

constexpr int32_t kCases = 3000;
constexpr int32_t kOutputBytes = 1 << 14;
constexpr int32_t kScratchBytes = 1 << 16;
constexpr int32_t kMaxTable = 3 * 80;
constexpr uint8_t kUntouched = 0xA5;

uint8_t* const kInputEnd = reinterpret_cast<uint8_t*>(0x30080000);
uint8_t* const kFilterEnd = reinterpret_cast<uint8_t*>(0x10080000);

BOARD_ARENA uint8_t expected[kOutputBytes];
BOARD_ARENA uint8_t actual[kOutputBytes];
BOARD_ARENA uint8_t scratch[kScratchBytes];
BOARD_ARENA uint8_t second_input[kOutputBytes];
BOARD_ARENA int32_t table[kMaxTable];

struct Values : RandomValues {
  using RandomValues::RandomValues;

  int32_t OneOf(const int32_t* options, int32_t count) { return options[Uniform(0, count - 1)]; }

  bool OneIn(int32_t n) { return Uniform(1, n) == 1; }

  int32_t Bits() { return 2 << Uniform(0, 2); }

  int32_t Channels() {
    const int32_t edges[] = {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40, 64, 65, 72};
    return OneOf(edges, sizeof(edges) / sizeof(edges[0]));
  }

  FixedPoint AnyFactor(int32_t magnitude_bits, int32_t bits) {
    const int32_t multipliers[] = {0, 1, 1 << 30, (1 << 30) + 1, INT32_MAX - 1, INT32_MAX};
    FixedPoint factor = Factor(magnitude_bits, bits);
    if (factor.shift < kMinShift) factor.shift = kMinShift;
    if (OneIn(8)) factor.multiplier = OneOf(multipliers, 6);
    if (OneIn(8)) factor.shift = Uniform(kMinShift, kMaxShift);
    return factor;
  }

  FeatureMap Map(int32_t height, int32_t width, int32_t channels) {
    const int32_t bits = Bits();
    const int32_t zeros[] = {QMin(bits), QMax(bits), 0, Uniform(QMin(bits), QMax(bits))};
    const int32_t gap = OneIn(2) ? 0 : Uniform(1, 5);
    return {height, width, channels, width * RunBytes(channels, bits) + gap, bits, OneOf(zeros, 4)};
  }

  Clamp Range(int32_t bits) {
    if (!OneIn(3)) return {QMin(bits), QMax(bits)};
    const int32_t min = Uniform(QMin(bits), QMax(bits));
    return {min, Uniform(min, QMax(bits))};
  }

  // Biases of any size that the accumulator has room for.
  void FillAnyTable(int32_t num_channels, int32_t num_products, int32_t input_bits,
                    int32_t weight_bits, int32_t output_bits) {
    FillTable(num_channels, num_products, input_bits, weight_bits, output_bits, table);
    const int32_t room = INT32_MAX - num_products * (((1 << input_bits) - 1) << (weight_bits - 1));
    for (int32_t c = 0; c < num_channels; ++c) {
      if (OneIn(8)) table[c] = Uniform(-room, room);
      const FixedPoint factor = AnyFactor(input_bits + weight_bits + 3, output_bits);
      if (OneIn(4)) table[num_channels + c] = factor.multiplier;
      if (OneIn(4)) table[2 * num_channels + c] = factor.shift;
    }
  }

  // Random values or, at times, the least one everywhere: the largest sums there are.
  void FillAnyRuns(bool is_least, int32_t num_runs, int32_t run_length, int32_t bits,
                   uint8_t* runs) {
    if (!is_least) {
      FillRuns(num_runs, run_length, bits, runs);
      return;
    }
    for (int32_t r = 0; r < num_runs; ++r, runs += RunBytes(run_length, bits)) {
      for (int32_t i = 0; i < run_length; ++i) StoreValue(runs, i, bits, QMin(bits));
    }
  }

  // A map whose last byte is the last one before `end`.
  const uint8_t* Filled(const FeatureMap& map, uint8_t* end) {
    const int32_t row_bytes = map.width * PixelBytes(map);
    const int32_t bytes =
        map.height == 0 || map.width == 0 ? 0 : (map.height - 1) * map.row_bytes + row_bytes;
    uint8_t* begin = end - bytes;
    const bool is_least = OneIn(8);
    for (int32_t y = 0; y < map.height; ++y) {
      FillAnyRuns(is_least, map.width, map.channels, map.bits, begin + y * map.row_bytes);
    }
    return begin;
  }

  const uint8_t* FilledFilter(int32_t num_runs, int32_t run_length, int32_t bits) {
    uint8_t* begin = kFilterEnd - num_runs * RunBytes(run_length, bits);
    FillAnyRuns(OneIn(4), num_runs, run_length, bits, begin);
    return begin;
  }

  Window AnyWindow(bool is_dilated) {
    Window w = {Uniform(1, 4), Uniform(1, 4), Uniform(1, 3), Uniform(1, 3), 1, 1, 0, 0};
    if (OneIn(3)) w.kernel_height = w.kernel_width = 1;
    if (is_dilated && OneIn(4)) w.dilation_height = Uniform(1, 3);
    if (is_dilated && OneIn(4)) w.dilation_width = Uniform(1, 3);
    if (OneIn(2)) w.pad_top = Uniform(-1, w.kernel_height - 1);
    if (OneIn(2)) w.pad_left = Uniform(-1, w.kernel_width - 1);
    return w;
  }
};

void Prepare() {
  memset(expected, kUntouched, kOutputBytes);
  memset(actual, kUntouched, kOutputBytes);
  memset(scratch, kUntouched, kScratchBytes);
}

bool IsEqual(size_t scratch_bytes) {
  for (size_t i = scratch_bytes; i < scratch_bytes + 64; ++i) {
    if (scratch[i] != kUntouched) return false;
  }
  return memcmp(expected, actual, kOutputBytes) == 0;
}

bool TestConv2D(Values& values) {
  Conv2DParams p;
  p.input = values.Map(values.Uniform(0, 6), values.Uniform(1, 6), values.Channels());
  p.output = values.Map(values.Uniform(1, 5), values.Uniform(1, 5), values.Channels());
  p.window = values.AnyWindow(true);
  p.clamp = values.Range(p.output.bits);
  p.weight_bits = values.Bits();
  const int32_t taps = p.window.kernel_height * p.window.kernel_width;
  const int32_t channels = p.output.channels;
  const uint8_t* input = values.Filled(p.input, kInputEnd);
  const uint8_t* filter = values.FilledFilter(channels * taps, p.input.channels, p.weight_bits);
  values.FillAnyTable(channels, taps * p.input.channels, p.input.bits, p.weight_bits,
                      p.output.bits);
  const int32_t* multiplier = table + channels;
  const int32_t* shift = multiplier + channels;
  Prepare();
  reference::Conv2D(p, input, filter, table, multiplier, shift, expected, nullptr);
  mve::Conv2D(p, input, filter, table, multiplier, shift, actual, scratch);
  return IsEqual(mve::Conv2DScratchBytes(p));
}

bool TestDepthwiseConv2D(Values& values) {
  DepthwiseConv2DParams p;
  p.depth_multiplier = values.OneIn(8) ? 2 : 1;
  const int32_t channels = values.Channels();
  p.input = values.Map(values.Uniform(0, 6), values.Uniform(1, 6), channels);
  p.output = values.Map(values.Uniform(1, 5), values.Uniform(1, 5), channels * p.depth_multiplier);
  if (p.output.channels * 3 > kMaxTable) return true;
  p.window = values.AnyWindow(true);
  p.clamp = values.Range(p.output.bits);
  p.weight_bits = values.Bits();
  const int32_t taps = p.window.kernel_height * p.window.kernel_width;
  const uint8_t* input = values.Filled(p.input, kInputEnd);
  const uint8_t* filter = values.FilledFilter(taps, p.output.channels, p.weight_bits);
  values.FillAnyTable(p.output.channels, taps, p.input.bits, p.weight_bits, p.output.bits);
  const int32_t* multiplier = table + p.output.channels;
  const int32_t* shift = multiplier + p.output.channels;
  Prepare();
  reference::DepthwiseConv2D(p, input, filter, table, multiplier, shift, expected, nullptr);
  mve::DepthwiseConv2D(p, input, filter, table, multiplier, shift, actual, scratch);
  return IsEqual(mve::DepthwiseConv2DScratchBytes(p));
}

bool TestFullyConnected(Values& values) {
  FullyConnectedParams p;
  p.input = values.Map(1, 1, values.OneIn(2) ? values.Channels() : values.Uniform(1, 300));
  p.output = values.Map(1, 1, values.Channels());
  p.clamp = values.Range(p.output.bits);
  p.weight_bits = values.Bits();
  const int32_t channels = p.output.channels;
  const uint8_t* input = values.Filled(p.input, kInputEnd);
  const uint8_t* filter = values.FilledFilter(channels, p.input.channels, p.weight_bits);
  values.FillAnyTable(channels, p.input.channels, p.input.bits, p.weight_bits, p.output.bits);
  const int32_t* multiplier = table + channels;
  const int32_t* shift = multiplier + channels;
  Prepare();
  reference::FullyConnected(p, input, filter, table, multiplier, shift, expected, nullptr);
  mve::FullyConnected(p, input, filter, table, multiplier, shift, actual, scratch);
  return IsEqual(mve::FullyConnectedScratchBytes(p));
}

bool TestAdd(Values& values) {
  AddParams p;
  const int32_t height = values.Uniform(1, 4);
  const int32_t width = values.Uniform(1, 6);
  p.output = values.Map(height, width, values.Channels());
  p.input0 = values.Map(height, width, p.output.channels);
  p.input1 = values.Map(height, width, p.output.channels);
  p.clamp = values.Range(p.output.bits);
  p.multipliers.input0 = values.AnyFactor(8, 8);
  p.multipliers.input1 = values.AnyFactor(8, values.Uniform(4, 8));
  p.multipliers.output = values.AnyFactor(20 + p.input0.bits, p.output.bits);
  const uint8_t* input0 = values.Filled(p.input0, kInputEnd);
  const uint8_t* input1 = values.Filled(p.input1, second_input + kOutputBytes);
  Prepare();
  reference::Add(p, input0, input1, expected);
  mve::Add(p, input0, input1, actual);
  return IsEqual(0);
}

bool TestPool(Values& values, Pool2DFn* reference_pool, Pool2DFn* pool) {
  Pool2DParams p;
  const bool has_many_taps = values.OneIn(8);
  p.input = has_many_taps
                ? values.Map(20, 20, values.Channels())
                : values.Map(values.Uniform(1, 9), values.Uniform(1, 9), values.Channels());
  p.output = values.Map(values.Uniform(1, 5), values.Uniform(1, 5), p.input.channels);
  p.window = values.AnyWindow(false);
  if (has_many_taps || values.OneIn(3)) {
    p.window.kernel_height = values.Uniform(has_many_taps ? 14 : 1, 18);
    p.window.kernel_width = values.Uniform(has_many_taps ? 14 : 1, 18);
  }
  if (values.OneIn(3)) {
    p.output.zero_point = p.input.zero_point;
    p.output.bits = p.input.bits;
    p.output.row_bytes = p.output.width * PixelBytes(p.output);
  }
  if (!PoolWindowFits(p.window, p.input.height, p.input.width, p.output.height, p.output.width)) {
    return true;
  }
  p.clamp = values.Range(p.output.bits);
  p.multiplier =
      values.OneIn(3) ? FixedPoint{1 << 30, 1} : values.AnyFactor(p.input.bits, p.output.bits);
  const uint8_t* input = values.Filled(p.input, kInputEnd);
  Prepare();
  reference_pool(p, input, expected);
  pool(p, input, actual);
  return IsEqual(0);
}

bool TestAveragePool2D(Values& values) {
  return TestPool(values, reference::AveragePool2D, mve::AveragePool2D);
}

bool TestMaxPool2D(Values& values) {
  return TestPool(values, reference::MaxPool2D, mve::MaxPool2D);
}

bool TestRequantize(Values& values) {
  RequantizeParams p;
  p.input = values.Map(values.Uniform(0, 6), values.Uniform(1, 6), values.Channels());
  p.output = values.Map(values.Uniform(1, 6), values.Uniform(1, 6), p.input.channels);
  p.pad_top = values.OneIn(2) ? 0 : values.Uniform(-3, 8);
  p.pad_left = values.OneIn(2) ? 0 : values.Uniform(-3, 8);
  p.clamp = values.Range(p.output.bits);
  p.multiplier =
      values.OneIn(3) ? FixedPoint{1 << 30, 1} : values.AnyFactor(p.input.bits, p.output.bits);
  const uint8_t* input = values.Filled(p.input, kInputEnd);
  Prepare();
  reference::Requantize(p, input, expected);
  mve::Requantize(p, input, actual);
  return IsEqual(0);
}

// Both forms of Multiply on values around every rounding and sign change, at every shift.
bool TestMultiply(Values& values) {
  const int32_t multipliers[] = {0,         1,
                                 3,         (1 << 30) - 1,
                                 1 << 30,   (1 << 30) + 1,
                                 INT32_MAX, values.Uniform(1 << 30, INT32_MAX)};
  for (int32_t shift = kMinShift; shift <= kMaxShift; ++shift) {
    for (int32_t multiplier : multipliers) {
      const FixedPoint factor = {multiplier, shift};
      for (int32_t i = 0; i < 128; ++i) {
        const uint32_t power = i < 64 ? 1u << (i / 2) : 3u << (i / 4);
        const int32_t x = static_cast<int32_t>((i % 2 == 0 ? power : 0u - power) +
                                               static_cast<uint32_t>(values.Uniform(-2, 2)));
        const int32_t one = Multiply(x, factor);
        const int32x4_t lanes = vdupq_n_s32(x);
        if (vgetq_lane_s32(mve::Multiply(lanes, mve::Lanes(factor)), 1) != one) return false;
        if (vgetq_lane_s32(mve::Multiply(lanes, mve::Uniform(factor)), 2) != one) return false;
      }
    }
  }
  return true;
}

bool TestMultiplyOften(Values& values) { return values.OneIn(100) ? TestMultiply(values) : true; }

int32_t CountFailures(const char* name, bool (*test)(Values&)) {
  int32_t failures = 0;
  for (int32_t seed = 1; seed <= kCases; ++seed) {
    Values values(static_cast<uint32_t>(seed));
    if (test(values)) continue;
    if (failures++ < 3) {
      BoardWrite(name);
      ReportCount(" FAILED_SEED", static_cast<uint64_t>(seed));
    }
  }
  return failures;
}

}  // namespace
}  // namespace quantmcu

int main() {
  using namespace quantmcu;
  int32_t failures = CountFailures("multiply", TestMultiplyOften);
  failures += CountFailures("conv_2d", TestConv2D);
  failures += CountFailures("depthwise_conv_2d", TestDepthwiseConv2D);
  failures += CountFailures("fully_connected", TestFullyConnected);
  failures += CountFailures("add", TestAdd);
  failures += CountFailures("average_pool_2d", TestAveragePool2D);
  failures += CountFailures("max_pool_2d", TestMaxPool2D);
  failures += CountFailures("requantize", TestRequantize);
  ReportCount("FAILURES", static_cast<uint64_t>(failures));
  return failures == 0 ? 0 : 1;
}
