// Convolution and fully connected: the DSP variants equal the reference in every byte, on seeded
// random cases with the edges in them: channel counts around groups and blocks, windows larger than
// the map and over its border, crops, dilation, row strides of views, factors and biases of any size.
//
// Inputs, or filters, end where external RAM ends, behind which Cortex-M7's and M33's boards fault;
// behind outputs and scratch stand bytes that must stay.
#include <stdint.h>
#include <string.h>

#include "tests/cortex_m/random_values.h"
#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/cortex_m/kernels_dsp.h"

namespace quantmcu {
namespace {

constexpr int32_t kCases = 3000;  // of each op
constexpr int32_t kOutputBytes = 1 << 14;
constexpr int32_t kScratchBytes = 1 << 16;
constexpr int32_t kFence = 64;  // bytes behind scratch that are looked at
constexpr int32_t kMaxTestChannels = 72;
constexpr uint8_t kUntouched = 0xA5;

BOARD_ARENA uint8_t g_expected[kOutputBytes];
BOARD_ARENA uint8_t g_actual[kOutputBytes];
BOARD_ARENA uint8_t g_scratch[kScratchBytes];
int32_t g_table[3 * kMaxTestChannels];

bool OneIn(int32_t n, RandomValues* random) { return random->Uniform(1, n) == 1; }

int32_t Channels(RandomValues* random) {
  constexpr int32_t kEdges[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 65, 72};
  return kEdges[random->Uniform(0, sizeof(kEdges) / sizeof(kEdges[0]) - 1)];
}

FeatureMap Map(int32_t height, int32_t width, int32_t channels, RandomValues* random) {
  FeatureMap map = {height, width, channels, 0, 2 << random->Uniform(0, 2), 0};
  map.zero_point = random->Uniform(QMin(map.bits), QMax(map.bits));
  if (OneIn(3, random)) map.zero_point = OneIn(2, random) ? QMin(map.bits) : QMax(map.bits);
  map.row_bytes = width * PixelBytes(map) + (OneIn(2, random) ? 0 : random->Uniform(1, 5));
  return map;
}

// Inputs and filters as the kernels get them; one of both ends with the 16 MB of external RAM.
class Operands {
 public:
  explicit Operands(RandomValues* random) : is_input_last_(OneIn(2, random)) {}

  const uint8_t* Input(const FeatureMap& map, RandomValues* random) {
    const int32_t row_bytes = map.width * PixelBytes(map);
    const bool is_empty = map.height == 0 || map.width == 0;
    uint8_t* input =
        End(is_input_last_) - (is_empty ? 0 : (map.height - 1) * map.row_bytes + row_bytes);
    for (int32_t y = 0; y < map.height; ++y) {
      random->FillRuns(map.width, map.channels, map.bits, input + y * map.row_bytes);
    }
    return input;
  }

  const uint8_t* Filter(int32_t num_runs, int32_t run_length, int32_t bits, RandomValues* random) {
    uint8_t* filter = End(!is_input_last_) - num_runs * RunBytes(run_length, bits);
    random->FillRuns(num_runs, run_length, bits, filter);
    return filter;
  }

 private:
  static uint8_t* End(bool is_last) {
    const uintptr_t end = (reinterpret_cast<uintptr_t>(g_expected) | 0xFFFFFF) + 1;
    return reinterpret_cast<uint8_t*>(is_last ? end : end - (1 << 20));
  }

  const bool is_input_last_;
};

Clamp AnyClamp(int32_t bits, RandomValues* random) {
  if (OneIn(2, random)) return {QMin(bits), QMax(bits)};
  const int32_t min = random->Uniform(QMin(bits), QMax(bits));
  return {min, random->Uniform(min, QMax(bits))};
}

// Mostly factors that fit the sums, sometimes anything that FindBadChannel lets pass.
void FillAnyTable(const FeatureMap& input, const FeatureMap& output, int32_t num_products,
                  int32_t weight_bits, RandomValues* random) {
  const int32_t channels = output.channels;
  random->FillTable(channels, num_products, input.bits, weight_bits, output.bits, g_table);
  const int32_t room = INT32_MAX - num_products * (((1 << input.bits) - 1) << (weight_bits - 1));
  for (int32_t c = 0; c < channels; ++c) {
    if (OneIn(8, random)) g_table[c] = random->Uniform(-room, room);
    if (OneIn(8, random)) g_table[channels + c] = random->Uniform(0, INT32_MAX);
    if (OneIn(8, random)) g_table[channels + c] = OneIn(2, random) ? INT32_MAX : 1 << 30;
    if (OneIn(8, random)) g_table[2 * channels + c] = random->Uniform(kMinShift, kMaxShift);
  }
}

Window AnyWindow(RandomValues* random) {
  Window w = {1, 1, random->Uniform(1, 3), random->Uniform(1, 3), 1, 1, 0, 0};
  if (!OneIn(3, random)) {
    w.kernel_height = random->Uniform(1, 4);
    w.kernel_width = random->Uniform(1, 4);
  }
  if (OneIn(4, random)) w.dilation_height = random->Uniform(1, 3);
  if (OneIn(4, random)) w.dilation_width = random->Uniform(1, 3);
  if (OneIn(2, random)) w.pad_top = random->Uniform(-1, w.kernel_height);
  if (OneIn(2, random)) w.pad_left = random->Uniform(-1, w.kernel_width);
  return w;
}

// Runs the reference and the variant; true if they wrote the same and nothing else.
template <typename Kernel, typename Params>
bool AreEqual(Kernel* expected, Kernel* actual, size_t scratch_bytes, const Params& params,
              const uint8_t* input, const uint8_t* filter) {
  memset(g_expected, kUntouched, kOutputBytes);
  memset(g_actual, kUntouched, kOutputBytes);
  memset(g_scratch, kUntouched, scratch_bytes + kFence);
  const int32_t* multiplier = g_table + params.output.channels;
  const int32_t* shift = multiplier + params.output.channels;
  expected(params, input, filter, g_table, multiplier, shift, g_expected, nullptr);
  actual(params, input, filter, g_table, multiplier, shift, g_actual, g_scratch);
  for (int32_t i = 0; i < kFence; ++i) {
    if (g_scratch[scratch_bytes + i] != kUntouched) return false;
  }
  return memcmp(g_expected, g_actual, kOutputBytes) == 0;
}

bool TestConv2D(RandomValues* random) {
  Conv2DParams params;
  params.input = Map(random->Uniform(0, 6), random->Uniform(0, 6), Channels(random), random);
  params.output = Map(random->Uniform(1, 5), random->Uniform(1, 5), Channels(random), random);
  params.window = AnyWindow(random);
  params.clamp = AnyClamp(params.output.bits, random);
  params.weight_bits = 2 << random->Uniform(0, 2);
  const int32_t taps = params.window.kernel_height * params.window.kernel_width;
  Operands operands(random);
  const uint8_t* input = operands.Input(params.input, random);
  FillAnyTable(params.input, params.output, taps * params.input.channels, params.weight_bits,
               random);
  const uint8_t* filter = operands.Filter(params.output.channels * taps, params.input.channels,
                                          params.weight_bits, random);
  return AreEqual(reference::Conv2D, dsp::Conv2D, dsp::Conv2DScratchBytes(params), params, input,
                  filter);
}

bool TestFullyConnected(RandomValues* random) {
  FullyConnectedParams params;
  const int32_t inputs = OneIn(2, random) ? Channels(random) : random->Uniform(1, 600);
  params.input = Map(1, 1, inputs, random);
  params.output = Map(1, 1, Channels(random), random);
  params.clamp = AnyClamp(params.output.bits, random);
  params.weight_bits = 2 << random->Uniform(0, 2);
  Operands operands(random);
  const uint8_t* input = operands.Input(params.input, random);
  FillAnyTable(params.input, params.output, inputs, params.weight_bits, random);
  const uint8_t* filter =
      operands.Filter(params.output.channels, inputs, params.weight_bits, random);
  return AreEqual(reference::FullyConnected, dsp::FullyConnected,
                  dsp::FullyConnectedScratchBytes(params), params, input, filter);
}

uint64_t CountFailures(const char* name, bool (*test)(RandomValues*)) {
  uint64_t failures = 0;
  for (uint32_t seed = 1; seed <= kCases; ++seed) {
    RandomValues random(seed);
    if (test(&random)) continue;
    BoardWrite(name);
    ReportCount(" FAILED_SEED", seed);
    ++failures;
  }
  return failures;
}

}  // namespace
}  // namespace quantmcu

int main() {
  using namespace quantmcu;
  uint64_t failures = CountFailures("conv_2d", TestConv2D);
  failures += CountFailures("fully_connected", TestFullyConnected);
  ReportCount("FAILURES", failures);
  return failures == 0 ? 0 : 1;
}
