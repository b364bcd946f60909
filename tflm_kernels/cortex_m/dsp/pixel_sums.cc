// SumPixels with the DSP extension.
//
// What is gained: four channels in one go, in int16 sums of as many pixels as these have room for; the
// reference adds each value to memory.
#include "tflm_kernels/portable/ops/pixel_sums.h"

#include "tflm_kernels/cortex_m/dsp/four_values.h"
#include "tflm_kernels/cortex_m/dsp/kernels.h"

namespace quantmcu {
namespace dsp {
namespace {

constexpr int32_t kMaxPixels = 255;  // times -128 it fits int16

// Of channels 0 and 2, and 1 and 3, of a block, as two int16 each.
struct FourSums {
  uint32_t even;
  uint32_t odd;
};

inline void AddFour(uint32_t values, FourSums* sums) {
  sums->even = Sxtab16(sums->even, values);
  sums->odd = Sxtab16Ror8(sums->odd, values);
}

// Pixels side by side, at most kMaxPixels.
template <int kBits>
FourSums SumsOf(const uint8_t* run, int32_t num_pixels, int32_t pixel_bytes, int32_t count) {
  FourSums sums = {0, 0};
  if (count >= 4) {
    for (; num_pixels > 0; --num_pixels, run += pixel_bytes) AddFour(LoadFour(run, kBits), &sums);
  } else {
    for (; num_pixels > 0; --num_pixels, run += pixel_bytes) {
      AddFour(LoadLast(run, kBits, count), &sums);
    }
  }
  return sums;
}

void Add(const FourSums& four, int32_t count, int32_t* sums) {
  const uint32_t parts[] = {four.even, four.odd};
  for (int32_t c = 0; c < count && c < 4; ++c) {
    sums[c] += static_cast<int16_t>(parts[c & 1] >> (c & 2) * 8);
  }
}

template <int kBits>
void Run(const FeatureMap& input, const uint8_t* pixels, int32_t* sums) {
  const int32_t pixel_bytes = PixelBytes(input);
  for (int32_t y = 0; y < input.height; ++y, pixels += input.row_bytes) {
    for (int32_t x = 0; x < input.width; x += kMaxPixels) {
      const int32_t left = input.width - x;
      const int32_t num_pixels = left < kMaxPixels ? left : kMaxPixels;
      for (int32_t c = 0; c < input.channels; c += 4) {
        const uint8_t* run = pixels + x * pixel_bytes + c * kBits / 8;
        const int32_t count = input.channels - c;
        Add(SumsOf<kBits>(run, num_pixels, pixel_bytes, count), count, sums + c);
      }
    }
  }
}

}  // namespace

void SumPixels(const FeatureMap& input, const uint8_t* pixels, int32_t* sums) {
  // Rows without a gap are one row, with fewer sums to add up.
  FeatureMap map = input;
  if (map.row_bytes == map.width * PixelBytes(map)) {
    map.width *= map.height;
    map.height = 1;
  }
  if (map.bits == 8) {
    Run<8>(map, pixels, sums);
  } else if (map.bits == 4) {
    Run<4>(map, pixels, sums);
  } else {
    Run<2>(map, pixels, sums);
  }
}

}  // namespace dsp
}  // namespace quantmcu
