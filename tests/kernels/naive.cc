#include "tests/kernels/naive.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace quantmcu {
namespace naive {
namespace {

int32_t Finish(int64_t sum, const FixedPoint& factor, const Clamp& clamp, int32_t zero_point) {
  const int64_t y = int64_t{Product(static_cast<int32_t>(sum), factor)} + zero_point;
  return std::clamp(static_cast<int32_t>(y), clamp.min, clamp.max);  // the casts wrap
}

// The values of one channel under a window, those outside the input left out.
std::vector<int32_t> Taps(const Map& input, const Window& window, int32_t oy, int32_t ox,
                          int32_t c) {
  std::vector<int32_t> taps;
  const int32_t y0 = oy * window.stride_height - window.pad_top;
  const int32_t x0 = ox * window.stride_width - window.pad_left;
  for (int32_t y = std::max(y0, 0); y < std::min(y0 + window.kernel_height, input.height); ++y) {
    for (int32_t x = std::max(x0, 0); x < std::min(x0 + window.kernel_width, input.width); ++x) {
      taps.push_back(input.At(y, x, c));
    }
  }
  return taps;
}

// The part of the input, padded with zero points, that all windows of the output cover.
Map Padded(const Map& input, const Window& window, const Map& output) {
  const int32_t height = (output.height - 1) * window.stride_height +
                         (window.kernel_height - 1) * window.dilation_height + 1;
  const int32_t width = (output.width - 1) * window.stride_width +
                        (window.kernel_width - 1) * window.dilation_width + 1;
  Map padded = EmptyMap(height, width, input.channels, input.bits, input.zero_point);
  for (int32_t y = 0; y < height; ++y) {
    for (int32_t x = 0; x < width; ++x) {
      const int32_t iy = y - window.pad_top;
      const int32_t ix = x - window.pad_left;
      if (iy < 0 || iy >= input.height || ix < 0 || ix >= input.width) continue;
      for (int32_t c = 0; c < input.channels; ++c) padded.At(y, x, c) = input.At(iy, ix, c);
    }
  }
  return padded;
}

// Puts convert(x) where every pixel of the input lands; zero points elsewhere.
template <typename Convert>
void ForEachMoved(const Map& input, int32_t pad_top, int32_t pad_left, Map* output,
                  Convert convert) {
  std::fill(output->values.begin(), output->values.end(), output->zero_point);
  for (int32_t y = 0; y < input.height; ++y) {
    for (int32_t x = 0; x < input.width; ++x) {
      const int32_t oy = y + pad_top;
      const int32_t ox = x + pad_left;
      if (oy < 0 || oy >= output->height || ox < 0 || ox >= output->width) continue;
      for (int32_t c = 0; c < input.channels; ++c) {
        output->At(oy, ox, c) = convert(input.At(y, x, c), c);
      }
    }
  }
}

}  // namespace

FeatureMap Map::View() const {
  const int32_t pixel_bytes = (channels * bits + 7) / 8;
  return {height, width, channels, width * pixel_bytes, bits, zero_point};
}

std::vector<uint8_t> Map::Packed() const { return Pack(values, channels, bits); }

std::vector<uint8_t> Filter::Packed() const { return Pack(values, run_length, bits); }

int32_t Random::Uniform(int32_t min, int32_t max) {
  const uint64_t span = static_cast<uint64_t>(int64_t{max} - min + 1);
  const uint64_t draw = uint64_t{engine_()} << 32 | engine_();
  return static_cast<int32_t>(min + static_cast<int64_t>(draw % span));
}

int32_t Random::Of(const std::vector<int32_t>& choices) {
  return choices[Uniform(0, static_cast<int32_t>(choices.size()) - 1)];
}

int32_t QMin(int32_t bits) { return -(1 << (bits - 1)); }
int32_t QMax(int32_t bits) { return (1 << (bits - 1)) - 1; }

std::vector<uint8_t> Pack(const std::vector<int32_t>& values, int32_t run_length, int32_t bits) {
  std::vector<uint8_t> bytes;
  for (size_t begin = 0; begin < values.size(); begin += run_length) {
    std::vector<bool> run;
    for (int32_t i = 0; i < run_length; ++i) {
      for (int32_t b = 0; b < bits; ++b) run.push_back((values[begin + i] >> b & 1) != 0);
    }
    while (run.size() % 8 != 0) run.push_back(false);
    for (size_t b = 0; b < run.size(); b += 8) {
      uint8_t byte = 0;
      for (int k = 0; k < 8; ++k) byte |= static_cast<uint8_t>(run[b + k] << k);
      bytes.push_back(byte);
    }
  }
  return bytes;
}

Map EmptyMap(int32_t height, int32_t width, int32_t channels, int32_t bits, int32_t zero_point) {
  const size_t num_values = static_cast<size_t>(height) * width * channels;
  return {height, width, channels, bits, zero_point, std::vector<int32_t>(num_values, zero_point)};
}

Map RandomMap(int32_t height, int32_t width, int32_t channels, int32_t bits, Random* random) {
  // Zero points at both ends of the range are the extremes.
  const int32_t zero_point =
      random->Of({QMin(bits), QMax(bits), random->Uniform(QMin(bits), QMax(bits))});
  Map map = EmptyMap(height, width, channels, bits, zero_point);
  for (int32_t& value : map.values) value = random->Uniform(QMin(bits), QMax(bits));
  return map;
}

Filter RandomFilter(int32_t num_runs, int32_t run_length, int32_t bits, Random* random) {
  Filter filter = {bits, run_length, std::vector<int32_t>(size_t(num_runs) * run_length)};
  for (int32_t& value : filter.values) value = random->Uniform(QMin(bits), QMax(bits));
  return filter;
}

Clamp RandomClamp(int32_t bits, int32_t zero_point, Random* random) {
  if (random->OneIn(2)) return {QMin(bits), QMax(bits)};
  return {zero_point, random->Uniform(zero_point, QMax(bits))};
}

FixedPoint RandomFactor(double magnitude, int32_t bits, Random* random) {
  const int shift = static_cast<int>(std::floor(std::log2(std::ldexp(1.0, bits) / magnitude)));
  return {random->Uniform(1 << 30, std::numeric_limits<int32_t>::max()),
          std::clamp(shift + random->Uniform(-1, 1), -31, 30)};
}

std::vector<int32_t> RandomTable(int32_t num_channels, int32_t num_products, int32_t input_bits,
                                 int32_t weight_bits, int32_t output_bits, Random* random) {
  const double magnitude = std::sqrt(num_products) * std::ldexp(1.0, input_bits + weight_bits - 2);
  std::vector<int32_t> table(3 * num_channels);
  for (int32_t o = 0; o < num_channels; ++o) {
    const int32_t largest_bias = static_cast<int32_t>(magnitude);
    const FixedPoint factor = RandomFactor(magnitude, output_bits, random);
    table[o] = random->Uniform(-largest_bias, largest_bias);
    table[num_channels + o] = factor.multiplier;
    table[2 * num_channels + o] = factor.shift;
  }
  return table;
}

// floor(x * multiplier / 2^31 + 1/2), then division by a power of two, halves away from zero.
int32_t Product(int32_t x, const FixedPoint& factor) {
  const uint32_t shifted = static_cast<uint32_t>(x) << std::max(factor.shift, 0);
  const int64_t product = int64_t{static_cast<int32_t>(shifted)} * factor.multiplier;
  const int64_t high = (product + (int64_t{1} << 30)) >> 31;
  const int right = std::max(-factor.shift, 0);
  const int64_t half = right == 0 ? 0 : int64_t{1} << (right - 1);
  const int64_t magnitude = (std::abs(high) + half) >> right;
  return static_cast<int32_t>(high < 0 ? -magnitude : magnitude);
}

void Conv2D(const Map& input, const Filter& filter, const std::vector<int32_t>& table,
            const Window& window, const Clamp& clamp, Map* output) {
  const Map padded = Padded(input, window, *output);
  const int32_t outputs = output->channels;
  for (int32_t oy = 0; oy < output->height; ++oy) {
    for (int32_t ox = 0; ox < output->width; ++ox) {
      size_t w = 0;
      for (int32_t o = 0; o < outputs; ++o) {
        int64_t sum = table[o];
        for (int32_t ky = 0; ky < window.kernel_height; ++ky) {
          for (int32_t kx = 0; kx < window.kernel_width; ++kx) {
            const int32_t y = oy * window.stride_height + ky * window.dilation_height;
            const int32_t x = ox * window.stride_width + kx * window.dilation_width;
            for (int32_t i = 0; i < input.channels; ++i) {
              sum += (padded.At(y, x, i) - input.zero_point) * filter.values[w++];
            }
          }
        }
        output->At(oy, ox, o) =
            Finish(sum, {table[outputs + o], table[2 * outputs + o]}, clamp, output->zero_point);
      }
    }
  }
}

void DepthwiseConv2D(const Map& input, const Filter& filter, const std::vector<int32_t>& table,
                     const Window& window, const Clamp& clamp, Map* output) {
  const int32_t taps = window.kernel_height * window.kernel_width;
  const int32_t depth_multiplier = output->channels / input.channels;
  Filter full = {filter.bits, input.channels, {}};
  full.values.resize(size_t(output->channels) * taps * input.channels);
  for (int32_t o = 0; o < output->channels; ++o) {
    for (int32_t t = 0; t < taps; ++t) {
      full.values[(o * taps + t) * input.channels + o / depth_multiplier] =
          filter.values[t * output->channels + o];
    }
  }
  Conv2D(input, full, table, window, clamp, output);
}

void Add(const Map& input0, const Map& input1, const AddMultipliers& multipliers,
         const Clamp& clamp, Map* output, int32_t sign) {
  for (size_t i = 0; i < output->values.size(); ++i) {
    const int32_t a =
        Product((input0.values[i] - input0.zero_point) * (1 << 20), multipliers.input0);
    const int32_t b =
        Product((input1.values[i] - input1.zero_point) * (1 << 20), multipliers.input1);
    output->values[i] =
        Finish(int64_t{a} + int64_t{sign} * b, multipliers.output, clamp, output->zero_point);
  }
}

void Multiplied(const Map& input0, const Map& input1, const FixedPoint& factor, const Clamp& clamp,
                Map* output) {
  for (size_t i = 0; i < output->values.size(); ++i) {
    const int64_t a = input0.values[i] - input0.zero_point;
    const int64_t b = input1.values[i] - input1.zero_point;
    output->values[i] = Finish(a * b, factor, clamp, output->zero_point);
  }
}

void AveragePool2D(const Map& input, const Window& window, const FixedPoint& factor,
                   const Clamp& clamp, Map* output) {
  for (int32_t y = 0; y < output->height; ++y) {
    for (int32_t x = 0; x < output->width; ++x) {
      for (int32_t c = 0; c < output->channels; ++c) {
        double sum = 0;
        const std::vector<int32_t> taps = Taps(input, window, y, x, c);
        for (int32_t tap : taps) sum += tap;
        const int64_t average = std::llround(sum / static_cast<double>(taps.size()));
        output->At(y, x, c) = Finish(average - input.zero_point, factor, clamp, output->zero_point);
      }
    }
  }
}

void MaxPool2D(const Map& input, const Window& window, const FixedPoint& factor, const Clamp& clamp,
               Map* output) {
  for (int32_t y = 0; y < output->height; ++y) {
    for (int32_t x = 0; x < output->width; ++x) {
      for (int32_t c = 0; c < output->channels; ++c) {
        const std::vector<int32_t> taps = Taps(input, window, y, x, c);
        const int32_t largest = *std::max_element(taps.begin(), taps.end());
        output->At(y, x, c) = Finish(largest - input.zero_point, factor, clamp, output->zero_point);
      }
    }
  }
}

void Requantize(const Map& input, int32_t pad_top, int32_t pad_left, const FixedPoint& factor,
                const Clamp& clamp, Map* output) {
  ForEachMoved(input, pad_top, pad_left, output, [&](int32_t x, int32_t) {
    return Finish(x - input.zero_point, factor, clamp, output->zero_point);
  });
}

void Lut(const Map& input, int32_t pad_top, int32_t pad_left, const std::vector<int32_t>& table,
         Map* output) {
  const int32_t num_entries = 1 << input.bits;
  const bool is_one = table.size() == static_cast<size_t>(num_entries);
  ForEachMoved(input, pad_top, pad_left, output, [&](int32_t x, int32_t c) {
    return table[(is_one ? 0 : c * num_entries) + x - QMin(input.bits)];
  });
}

std::vector<int32_t> RandomLut(int32_t input_bits, const Clamp& clamp, Random* random,
                               int32_t num_tables) {
  std::vector<int32_t> table;
  for (int32_t i = 0; i < num_tables << input_bits; ++i) {
    table.push_back(random->Uniform(clamp.min, clamp.max));
  }
  return table;
}

std::vector<uint8_t> LutBytes(const std::vector<int32_t>& table) {
  return std::vector<uint8_t>(table.begin(), table.end());
}

void ExpectSameBytes(const std::vector<uint8_t>& expected, const std::vector<uint8_t>& actual) {
  ASSERT_EQ(expected.size(), actual.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(int{expected[i]}, int{actual[i]}) << "at byte " << i << " of " << expected.size();
  }
}

void ForEachWidthAndChannels(
    const std::function<void(int32_t bits, int32_t channels, Random* random)>& compare) {
  for (int32_t bits : kBits) {
    for (int32_t channels : kChannels) {
      for (uint32_t seed = 0; seed < 30; ++seed) {
        Random random(seed);
        SCOPED_TRACE("to a" + std::to_string(bits) + ", " + std::to_string(channels) +
                     " channels, seed " + std::to_string(seed));
        compare(bits, channels, &random);
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

std::string Tag(int32_t activation_bits, int32_t weight_bits) {
  return "a" + std::to_string(activation_bits) + "w" + std::to_string(weight_bits);
}

}  // namespace naive
}  // namespace quantmcu
