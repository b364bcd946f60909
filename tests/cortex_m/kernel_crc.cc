// Runs the core's own kernels on seeded values at every width and prints a CRC-32 of all that they
// wrote: the same lines on every core and on the host.
#include <stdint.h>
#include <string.h>

#include "tests/cortex_m/patch_stage_case.h"
#include "tests/cortex_m/random_values.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/portable/law/crc32.h"

namespace quantmcu {
namespace {

constexpr int32_t kBits[] = {8, 4, 2};

struct Shape {
  int32_t height;
  int32_t width;
  int32_t channels;
  int32_t output_height;
  int32_t output_width;
  int32_t output_channels;
  Window window;
};

// More channels than a block of unpacked values, odd counts, stride, dilation, multiplier.
constexpr Shape kConv2D[] = {{7, 6, 19, 7, 6, 9, {3, 3, 1, 1, 1, 1, 1, 1}},
                             {5, 5, 67, 3, 3, 12, {1, 1, 2, 2, 1, 1, 0, 0}},
                             {8, 8, 4, 8, 8, 5, {3, 3, 1, 1, 2, 2, 2, 2}}};
constexpr Shape kDepthwiseConv2D[] = {{7, 6, 19, 7, 6, 19, {3, 3, 1, 1, 1, 1, 1, 1}},
                                      {9, 8, 66, 5, 4, 132, {5, 5, 2, 2, 1, 1, 2, 2}}};
constexpr Shape kFullyConnected = {1, 1, 131, 1, 1, 21, {1, 1, 1, 1, 1, 1, 0, 0}};
constexpr Shape kPool = {9, 8, 19, 5, 4, 19, {3, 3, 2, 2, 1, 1, 1, 1}};
constexpr Shape kPadded = {5, 4, 19, 8, 6, 19, {1, 1, 1, 1, 1, 1, 2, 1}};
constexpr Shape kSame = {7, 6, 19, 7, 6, 19, {1, 1, 1, 1, 1, 1, 0, 0}};

uint8_t input0[8192];
uint8_t input1[8192];
uint8_t filter[8192];
uint8_t output[8192];
int32_t table[3 * 256];
uint8_t lut[256];
alignas(4) uint8_t scratch[8192];  // more than any kernel of these shapes needs

class Case {
 public:
  Case(const Shape& shape, int32_t input_bits, int32_t weight_bits, int32_t output_bits)
      : shape_(shape),
        weight_bits_(weight_bits),
        random_(10000 * input_bits + 100 * weight_bits + output_bits),
        input_(Map(shape.height, shape.width, shape.channels, input_bits)),
        output_(Map(shape.output_height, shape.output_width, shape.output_channels, output_bits)),
        clamp_(random_.ClampOf(output_bits)) {
    random_.FillMap(input_, input0);
    memset(output, 0xA5, sizeof(output));
  }

  void Conv2D() {
    const int32_t taps = shape_.window.kernel_height * shape_.window.kernel_width;
    random_.FillRuns(output_.channels * taps, input_.channels, weight_bits_, filter);
    FillTable(taps * input_.channels);
    kernels::Conv2D({input_, output_, shape_.window, clamp_, weight_bits_}, input0, filter,
                    ChannelTableOf(table, output_.channels), output, scratch);
  }

  void DepthwiseConv2D() {
    const int32_t taps = shape_.window.kernel_height * shape_.window.kernel_width;
    random_.FillRuns(taps, output_.channels, weight_bits_, filter);
    FillTable(taps);
    kernels::DepthwiseConv2D(
        {input_, output_, shape_.window, clamp_, weight_bits_, output_.channels / input_.channels},
        input0, filter, ChannelTableOf(table, output_.channels), output, scratch);
  }

  void FullyConnected() {
    random_.FillRuns(output_.channels, input_.channels, weight_bits_, filter);
    FillTable(input_.channels);
    kernels::FullyConnected({input_, output_, clamp_, weight_bits_}, input0, filter,
                            ChannelTableOf(table, output_.channels), output, scratch);
  }

  void Add() { Combine(kernels::Add); }

  void Difference() { Combine(kernels::Difference); }

  void Product() {
    const FeatureMap other = FilledOther();
    const FixedPoint factor = random_.Factor(input_.bits + other.bits - 1, output_.bits);
    kernels::Product({input_, other, output_, clamp_, factor}, input0, input1, output);
  }

  void AveragePool2D() {
    kernels::AveragePool2D({input_, output_, shape_.window, clamp_, Factor()}, input0, output);
  }

  void MaxPool2D() {
    kernels::MaxPool2D({input_, output_, shape_.window, clamp_, Factor()}, input0, output);
  }

  void Requantize() {
    kernels::Requantize(
        {input_, output_, shape_.window.pad_top, shape_.window.pad_left, clamp_, Factor()}, input0,
        output);
  }

  void Lut() {
    for (int32_t i = 0; i < NumLutEntries(input_.bits); ++i) {
      lut[i] = static_cast<uint8_t>(random_.Uniform(clamp_.min, clamp_.max));
    }
    kernels::Lut({input_, output_, shape_.window.pad_top, shape_.window.pad_left, 0}, input0, lut,
                 output);
  }

 private:
  FeatureMap FilledOther() {
    const FeatureMap other = Map(shape_.height, shape_.width, shape_.channels, output_.bits);
    random_.FillMap(other, input1);
    return other;
  }

  void Combine(AddFn* kernel) {
    const FeatureMap other = FilledOther();
    const AddMultipliers multipliers = {random_.Factor(input_.bits, 8),
                                        random_.Factor(other.bits, 8),
                                        random_.Factor(28, output_.bits)};
    kernel({input_, other, output_, clamp_, multipliers}, input0, input1, output);
  }

  FeatureMap Map(int32_t height, int32_t width, int32_t channels, int32_t bits) {
    return {
        height, width, channels, width * RunBytes(channels, bits), bits, random_.ZeroPoint(bits)};
  }

  FixedPoint Factor() { return random_.Factor(input_.bits, output_.bits); }

  void FillTable(int32_t num_products) {
    random_.FillTable(output_.channels, num_products, input_.bits, weight_bits_, output_.bits,
                      table);
  }

  const Shape& shape_;
  int32_t weight_bits_;
  RandomValues random_;
  FeatureMap input_;
  FeatureMap output_;
  Clamp clamp_;
};

// <op>_a<bits><letter><bits>, the letter w for weights, a for the output.
void Report(const char* op, int32_t bits, char letter, int32_t other_bits, uint32_t crc) {
  char key[64];
  const size_t length = strlen(op);
  memcpy(key, op, length);
  const char tag[] = {
      '_', 'a', static_cast<char>('0' + bits), letter, static_cast<char>('0' + other_bits), '\0'};
  memcpy(key + length, tag, sizeof(tag));
  ReportHex(key, crc);
}

// One CRC over all shapes.
template <int32_t kNumShapes>
void RunConvolution(const char* op, void (Case::*run)(), const Shape (&shapes)[kNumShapes],
                    int32_t activation_bits, int32_t weight_bits) {
  uint32_t crc = 0;
  for (const Shape& shape : shapes) {
    Case one(shape, activation_bits, weight_bits, activation_bits);
    (one.*run)();
    crc = Crc32(output, sizeof(output), crc);
  }
  Report(op, activation_bits, 'w', weight_bits, crc);
}

void RunWithoutWeights(const char* op, void (Case::*run)(), const Shape& shape, int32_t input_bits,
                       int32_t output_bits) {
  Case one(shape, input_bits, 0, output_bits);
  (one.*run)();
  Report(op, input_bits, 'a', output_bits, Crc32(output, sizeof(output)));
}

bool RunAll(int32_t bits, int32_t other_bits) {
  RunConvolution("conv2d", &Case::Conv2D, kConv2D, bits, other_bits);
  RunConvolution("depthwise_conv2d", &Case::DepthwiseConv2D, kDepthwiseConv2D, bits, other_bits);
  RunConvolution("fully_connected", &Case::FullyConnected, {kFullyConnected}, bits, other_bits);
  RunWithoutWeights("add", &Case::Add, kSame, bits, other_bits);
  RunWithoutWeights("difference", &Case::Difference, kSame, bits, other_bits);
  RunWithoutWeights("product", &Case::Product, kSame, bits, other_bits);
  RunWithoutWeights("average_pool2d", &Case::AveragePool2D, kPool, bits, other_bits);
  RunWithoutWeights("max_pool2d", &Case::MaxPool2D, kPool, bits, other_bits);
  RunWithoutWeights("requantize", &Case::Requantize, kPadded, bits, other_bits);
  RunWithoutWeights("lut", &Case::Lut, kPadded, bits, other_bits);
  uint32_t crc;
  if (!RunPatchStage(bits, other_bits, &crc)) return false;
  Report("patch_stage", bits, 'w', other_bits, crc);
  return true;
}

}  // namespace
}  // namespace quantmcu

int main() {
  // The CRC's own check value.
  if (quantmcu::Crc32("123456789", 9) != 0xCBF43926) return 1;
  for (int32_t bits : quantmcu::kBits) {
    for (int32_t other_bits : quantmcu::kBits) {
      if (!quantmcu::RunAll(bits, other_bits)) return 1;
    }
  }
  return 0;
}
