// Seeded random params and operands for the kernels of cortex_m, with the edges in them: channel counts
// around blocks, windows larger than the map and over its border, crops, dilation, row strides of
// views, factors and biases of any size, extreme values.
//
// Inputs, filters and scratch end at guards: a byte behind them faults. Behind outputs and on both sides of scratch
// stand bytes that must stay.
#ifndef TESTS_CORTEX_M_RANDOM_CASE_H_
#define TESTS_CORTEX_M_RANDOM_CASE_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tests/cortex_m/random_values.h"
#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/guard.h"

namespace quantmcu {

constexpr int32_t kOutputBytes = 1 << 14;
constexpr int32_t kScratchBytes = 1 << 16;
constexpr int32_t kFence = 64;  // bytes before scratch that are looked at
constexpr int32_t kMaxTestChannels = 100;
constexpr uint8_t kUntouched = 0xA5;

BOARD_ARENA inline uint8_t g_expected[kOutputBytes];
BOARD_ARENA inline uint8_t g_actual[kOutputBytes];
// Scratch, and its guard.
[[gnu::section(".arena"),
  gnu::aligned(kGuardBytes)]] inline uint8_t g_scratch[kScratchBytes + kGuardBytes];
inline uint8_t* const kScratchEnd = g_scratch + kScratchBytes;
inline int32_t g_table[3 * kMaxTestChannels];

#if defined(__ARM_FEATURE_MVE)
// DTCM and ITCM.
inline uint8_t* const kEnds[] = {reinterpret_cast<uint8_t*>(0x30080000),
                                 reinterpret_cast<uint8_t*>(0x10080000)};
#else
// The 16 MB of external RAM.
inline uint8_t* const kExternalEnd =
    reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(g_expected) | 0xFFFFFF) + 1);
inline uint8_t* const kEnds[] = {kExternalEnd, kExternalEnd - (1 << 20)};
#endif

// Returns whether the core has guards.
inline bool GuardEnds() {
  return BoardGuard(0, kEnds[0]) && BoardGuard(1, kEnds[1]) && BoardGuard(2, kScratchEnd);
}

class RandomCase : public RandomValues {
 public:
  explicit RandomCase(uint32_t seed)
      : RandomValues(seed), first_end_(OneIn(2) ? 0 : 1), has_extremes_(OneIn(4)) {}

  bool OneIn(int32_t n) { return Uniform(1, n) == 1; }

  template <int kCount>
  int32_t OneOf(const int32_t (&options)[kCount]) {
    return options[Uniform(0, kCount - 1)];
  }

  int32_t Bits() { return 2 << Uniform(0, 2); }

  int32_t Channels() {
    return OneOf({1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40, 48, 64, 65, 72});
  }

  FeatureMap Map(int32_t height, int32_t width, int32_t channels) {
    FeatureMap map = {height, width, channels, 0, Bits(), 0};
    const int32_t bits = map.bits;
    map.zero_point = OneOf({QMin(bits), QMax(bits), 0, Uniform(QMin(bits), QMax(bits))});
    map.row_bytes = width * PixelBytes(map) + (OneIn(2) ? 0 : Uniform(1, 5));
    return map;
  }

  // With the format of `like`.
  FeatureMap MapLike(const FeatureMap& like, int32_t height, int32_t width) {
    FeatureMap map = like;
    map.height = height;
    map.width = width;
    map.row_bytes = width * PixelBytes(map);
    return map;
  }

  Clamp AnyClamp(int32_t bits) {
    if (!OneIn(3)) return {QMin(bits), QMax(bits)};
    const int32_t min = Uniform(QMin(bits), QMax(bits));
    return {min, Uniform(min, QMax(bits))};
  }

  Window AnyWindow() {
    Window w = {Uniform(1, 4), Uniform(1, 4), Uniform(1, 3), Uniform(1, 3), 1, 1, 0, 0};
    if (OneIn(3)) w.kernel_height = w.kernel_width = OneIn(2) ? 1 : 3;
    if (OneIn(3)) w.stride_height = w.stride_width = 1;
    if (OneIn(4)) w.dilation_height = Uniform(1, 3);
    if (OneIn(4)) w.dilation_width = Uniform(1, 3);
    if (OneIn(2)) w.pad_top = Uniform(-1, w.kernel_height);
    if (OneIn(2)) w.pad_left = Uniform(-1, w.kernel_width);
    return w;
  }

  // Mostly as A2 gives it, sometimes anything that is accepted.
  FixedPoint AnyFactor(int32_t magnitude_bits, int32_t bits) {
    FixedPoint factor = Factor(magnitude_bits, bits);
    if (factor.shift < kMinShift) factor.shift = kMinShift;
    if (OneIn(8)) {
      factor.multiplier = OneOf({0, 1, 1 << 30, (1 << 30) + 1, INT32_MAX - 1, INT32_MAX});
    }
    if (OneIn(8)) factor.shift = Uniform(kMinShift, kMaxShift);
    return factor;
  }

  // g_table, with biases of any size that the accumulator has room for.
  void FillAnyTable(const FeatureMap& input, const FeatureMap& output, int32_t num_products,
                    int32_t weight_bits) {
    const int32_t channels = output.channels;
    FillTable(channels, num_products, input.bits, weight_bits, output.bits, g_table);
    if (OneIn(2)) return;
    const int32_t room = INT32_MAX - num_products * (((1 << input.bits) - 1) << (weight_bits - 1));
    for (int32_t c = 0; c < channels; ++c) {
      if (OneIn(8)) g_table[c] = Uniform(-room, room);
      const FixedPoint factor = AnyFactor(input.bits + weight_bits + 3, output.bits);
      if (OneIn(4)) g_table[channels + c] = factor.multiplier;
      if (OneIn(4)) g_table[2 * channels + c] = factor.shift;
    }
  }

  const uint8_t* Input(const FeatureMap& map) { return FilledMap(map, kEnds[first_end_]); }

  // In the middle of memory.
  const uint8_t* SecondInput(const FeatureMap& map) { return FilledMap(map, kScratchEnd); }

  const uint8_t* Filter(int32_t num_runs, int32_t run_length, int32_t bits) {
    uint8_t* begin = kEnds[1 - first_end_] - num_runs * RunBytes(run_length, bits);
    FillAnyRuns(Filling(), num_runs, run_length, bits, begin);
    return begin;
  }

 private:
  enum class Values { kRandom, kLeast, kLargest };

  // Extreme values everywhere make the largest sums there are.
  Values Filling() {
    if (!has_extremes_ || OneIn(4)) return Values::kRandom;
    return OneIn(2) ? Values::kLeast : Values::kLargest;
  }

  void FillAnyRuns(Values values, int32_t num_runs, int32_t run_length, int32_t bits,
                   uint8_t* runs) {
    if (values == Values::kRandom) {
      FillRuns(num_runs, run_length, bits, runs);
      return;
    }
    const int32_t value = values == Values::kLeast ? QMin(bits) : QMax(bits);
    for (int32_t r = 0; r < num_runs; ++r, runs += RunBytes(run_length, bits)) {
      for (int32_t i = 0; i < run_length; ++i) StoreValue(runs, i, bits, value);
    }
  }

  // A map whose last byte is the last one before `end`.
  const uint8_t* FilledMap(const FeatureMap& map, uint8_t* end) {
    const int32_t row_bytes = map.width * PixelBytes(map);
    const bool is_empty = map.height == 0 || map.width == 0;
    uint8_t* begin = end - (is_empty ? 0 : (map.height - 1) * map.row_bytes + row_bytes);
    const Values values = Filling();
    for (int32_t y = 0; y < map.height; ++y) {
      FillAnyRuns(values, map.width, map.channels, map.bits, begin + y * map.row_bytes);
    }
    return begin;
  }

  const int32_t first_end_;
  const bool has_extremes_;
};

// Runs both with an output, `run_actual` with scratch as well; true if they wrote the same and nothing else.
template <typename Expected, typename Actual>
bool AreEqual(size_t scratch_bytes, Expected run_expected, Actual run_actual) {
  memset(g_expected, kUntouched, kOutputBytes);
  memset(g_actual, kUntouched, kOutputBytes);
  run_expected(g_expected);
  uint8_t* scratch = kScratchEnd - (scratch_bytes + 15) / 16 * 16;
  if (scratch_bytes > 0) memset(scratch - kFence, kUntouched, kScratchEnd - scratch + kFence);
  run_actual(g_actual, scratch);
  for (const uint8_t* byte = scratch - kFence; scratch_bytes > 0 && byte < kScratchEnd; ++byte) {
    if (byte == scratch) byte += scratch_bytes;
    if (byte < kScratchEnd && *byte != kUntouched) return false;
  }
  return memcmp(g_expected, g_actual, kOutputBytes) == 0;
}

}  // namespace quantmcu

#endif  // TESTS_CORTEX_M_RANDOM_CASE_H_
