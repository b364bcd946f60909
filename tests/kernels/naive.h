// The laws once more, in plain integers without packing, views or tiles, to compare kernels with.
//
// Written from docs/arithmetic.md in other words than the kernels: padding is real padding, sums
// are int64, a depthwise convolution is a full one with zero weights.
#ifndef TESTS_KERNELS_NAIVE_H_
#define TESTS_KERNELS_NAIVE_H_

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"
#include "tflm_kernels/portable/ops/add.h"

namespace quantmcu {
namespace naive {

// Edge list of channel counts; 65 and 130 cross the blocks in which runs are unpacked.
inline const std::vector<int32_t> kChannels = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65, 130};
inline const std::vector<int32_t> kBits = {8, 4, 2};

// A feature map with its values [height, width, channels] unpacked.
struct Map {
  int32_t height;
  int32_t width;
  int32_t channels;
  int32_t bits;
  int32_t zero_point;
  std::vector<int32_t> values;

  int32_t& At(int32_t y, int32_t x, int32_t c) { return values[(y * width + x) * channels + c]; }
  int32_t At(int32_t y, int32_t x, int32_t c) const {
    return values[(y * width + x) * channels + c];
  }
  FeatureMap View() const;
  std::vector<uint8_t> Packed() const;
};

// Weights [outputs, kernel_height, kernel_width, inputs] of a convolution or a fully connected
// layer, or [kernel_height, kernel_width, outputs] of a depthwise one; the last one is a run.
struct Filter {
  int32_t bits;
  int32_t run_length;
  std::vector<int32_t> values;

  std::vector<uint8_t> Packed() const;
};

// Seeded; the same on every machine, unlike the standard distributions.
class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  int32_t Uniform(int32_t min, int32_t max);
  int32_t Of(const std::vector<int32_t>& choices);
  bool OneIn(int32_t n) { return Uniform(1, n) == 1; }

 private:
  std::mt19937 engine_;
};

int32_t QMin(int32_t bits);
int32_t QMax(int32_t bits);

// Packs runs bit by bit.
std::vector<uint8_t> Pack(const std::vector<int32_t>& values, int32_t run_length, int32_t bits);

// A map full of zero points.
Map EmptyMap(int32_t height, int32_t width, int32_t channels, int32_t bits, int32_t zero_point);
Map RandomMap(int32_t height, int32_t width, int32_t channels, int32_t bits, Random* random);
Filter RandomFilter(int32_t num_runs, int32_t run_length, int32_t bits, Random* random);
Clamp RandomClamp(int32_t bits, int32_t zero_point, Random* random);

// A factor that brings sums of about `magnitude` into the range of `bits`.
FixedPoint RandomFactor(double magnitude, int32_t bits, Random* random);

// bias, multiplier, shift of each channel, for sums of `num_products` products.
std::vector<int32_t> RandomTable(int32_t num_channels, int32_t num_products, int32_t input_bits,
                                 int32_t weight_bits, int32_t output_bits, Random* random);

// An output value of every input value, `num_tables` times.
std::vector<int32_t> RandomLut(int32_t input_bits, const Clamp& clamp, Random* random,
                               int32_t num_tables = 1);

// One entry a byte.
std::vector<uint8_t> LutBytes(const std::vector<int32_t>& table);

int32_t Product(int32_t x, const FixedPoint& factor);

// The ops: `output` has its shape and format set and gets its values.
void Conv2D(const Map& input, const Filter& filter, const std::vector<int32_t>& table,
            const Window& window, const Clamp& clamp, Map* output);
void DepthwiseConv2D(const Map& input, const Filter& filter, const std::vector<int32_t>& table,
                     const Window& window, const Clamp& clamp, Map* output);
// `sign` of the second input: -1 is a difference.
void Add(const Map& input0, const Map& input1, const AddMultipliers& multipliers,
         const Clamp& clamp, Map* output, int32_t sign = 1);
void Multiplied(const Map& input0, const Map& input1, const FixedPoint& factor, const Clamp& clamp,
                Map* output);
void AveragePool2D(const Map& input, const Window& window, const FixedPoint& factor,
                   const Clamp& clamp, Map* output);
void MaxPool2D(const Map& input, const Window& window, const FixedPoint& factor, const Clamp& clamp,
               Map* output);
void Requantize(const Map& input, int32_t pad_top, int32_t pad_left, const FixedPoint& factor,
                const Clamp& clamp, Map* output);
// `table`: the output value of every input value, the lowest first; of all channels, or of each.
void Lut(const Map& input, int32_t pad_top, int32_t pad_left, const std::vector<int32_t>& table,
         Map* output);

// Fails the test at the first byte that differs.
void ExpectSameBytes(const std::vector<uint8_t>& expected, const std::vector<uint8_t>& actual);

// Calls `compare` 30 times, with other random numbers, for each output width and channel
// count, until a test fails.
void ForEachWidthAndChannels(
    const std::function<void(int32_t bits, int32_t channels, Random* random)>& compare);

// "a4w2"
std::string Tag(int32_t activation_bits, int32_t weight_bits);

}  // namespace naive
}  // namespace quantmcu

#endif  // TESTS_KERNELS_NAIVE_H_
