// cortex_m/dsp/depthwise_rows.h - depthwise convolution of 8-bit maps with 3x3 windows that move by 1: the inputs of
// four channels are widened row by row into scratch, two neighbours a word, and a channel at a time goes
// over several rows of output pixels (row_sums.h).
//
// What is gained: an input is widened once, not once a tap; what lies outside the map is there as 0, so
// that there is no border.
// Factors  below 1/2 all of them.
// Scratch  planes [input row][lane][pair], results [row][pixel][lane] as int8.
// Source   written from docs/arithmetic.md A3 and docs/format.md F2.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_DEPTHWISE_ROWS_H_
#define TFLM_KERNELS_CORTEX_M_DSP_DEPTHWISE_ROWS_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/depthwise_block.h"
#include "tflm_kernels/cortex_m/dsp/depthwise_pairs.h"
#include "tflm_kernels/cortex_m/dsp/row_sums.h"
#include "tflm_kernels/cortex_m/dsp/scratch.h"

namespace quantmcu {
namespace dsp {

// Widens rows of the input for a block of channels.
class RowWidener {
 public:
  RowWidener(const Depthwise& conv, const DepthwiseRowsPlan& plan, const Block& block)
      : input_(conv.params.input),
        left_(-conv.params.window.pad_left),
        num_pairs_(plan.num_pairs),
        num_values_(plan.num_planes == 1 ? 1 : block.count),
        pixels_(conv.input + block.begin / conv.params.depth_multiplier),
        minus_zeros_(PackLowHalves(-input_.zero_point, -input_.zero_point)) {}

  // The rows of the input from y on, to [row, row_end); zeroes where there is none.
  template <bool kIsRegular>
  void Add(int32_t y, uint32_t* const* row, uint32_t* const* row_end) const {
    if (kIsRegular || num_values_ == kLanes)
      return AddRows<kLanes>(0, y, row, row_end, LoadWhole());
    for (int32_t lane = 0; lane < num_values_; ++lane) {
      AddRows<1>(lane, y, row, row_end, LoadOne());
    }
  }

 private:
  // Neighbouring values of a pixel.
  struct LoadWhole {
    uint32_t operator()(const uint8_t* pixel) const { return LoadWord(pixel); }
  };

  struct LoadOne {
    uint32_t operator()(const uint8_t* pixel) const { return *pixel; }
  };

  // To kPlanes from that of `lane` on. load(pixel): its values, of which the first kPlanes count.
  template <int kPlanes, typename Load>
  [[gnu::noinline]] void AddRows(int32_t lane, int32_t y, uint32_t* const* row,
                                 uint32_t* const* row_end, const Load load) const {
    const PairWidener<kPlanes> widener = {minus_zeros_, num_pairs_};
    const uint32_t outside = Repeated(input_.zero_point);
    const int32_t step = PixelBytes(input_);
    const int32_t width = input_.width;
    const int32_t row_bytes = input_.row_bytes;
    const uint8_t* pixels = pixels_ + lane + y * row_bytes;
    for (; row != row_end; ++row, ++y, pixels += row_bytes) {
      uint32_t* words = *row + lane * num_pairs_;
      uint32_t* const end = words + num_pairs_;
      if (y < 0 || y >= input_.height) {
        for (; words != end + (kPlanes - 1) * num_pairs_; ++words) *words = 0;
        continue;
      }
      int32_t x = left_;
      for (; x < 0 && words != end; x += 2) {
        widener.Put(outside, x == -1 && width > 0 ? load(pixels) : outside, words++);
      }
      const uint8_t* pixel = pixels + x * step;
      for (; x + 1 < width && words != end; x += 2, pixel += 2 * step) {
        widener.Put(load(pixel), load(pixel + step), words++);
      }
      for (; words != end; x += 2) {
        widener.Put(x < width ? load(pixel) : outside, outside, words++);
      }
    }
  }

  template <int kPlanes>
  struct PairWidener {
    // Two neighbours, to a word of each plane.
    [[gnu::always_inline]] void Put(uint32_t a, uint32_t b, uint32_t* words) const {
      const uint32_t low = PackLowHalves(a, b);
      words[0] = Sxtab16(minus_zeros, low);
      if constexpr (kPlanes > 1) {
        const uint32_t high = PackHighHalves(a, b);
        words[distance] = Sxtab16Ror8(minus_zeros, low);
        words[2 * distance] = Sxtab16(minus_zeros, high);
        words[3 * distance] = Sxtab16Ror8(minus_zeros, high);
      }
    }

    uint32_t minus_zeros;
    int32_t distance;  // between planes
  };

  const FeatureMap& input_;
  const int32_t left_;  // column of the first pair
  const int32_t num_pairs_;
  const int32_t num_values_;     // of a pixel
  const uint8_t* const pixels_;  // at the block's first channel
  const uint32_t minus_zeros_;
};

constexpr int32_t kWeightWords = 6;  // of a channel

template <bool kHasWords>
[[gnu::noinline]] void PairWeights(const Block& block, uint32_t (&weights)[kLanes][kWeightWords]) {
  const auto weights_of = [&](int32_t tap) {
    return kHasWords ? block.WholeWeights(tap) : block.Weights(tap);
  };
  for (int32_t row = 0; row < 3; ++row) {
    const uint32_t middle = weights_of(3 * row + 1);
    uint32_t first[kLanes];
    uint32_t second[kLanes];
    PairLanes(weights_of(3 * row), middle, first);
    PairLanes(middle, weights_of(3 * row + 2), second);
    for (int32_t lane = 0; lane < kLanes; ++lane) {
      weights[lane][2 * row] = first[lane];
      weights[lane][2 * row + 1] = second[lane];
    }
  }
}

// kIsRegular: of calls that are.
template <bool kIsRegular>
class DepthwiseRows {
 public:
  DepthwiseRows(const Depthwise& conv, const DepthwiseRowsPlan& plan, uint8_t* scratch)
      : conv_(conv),
        plan_(plan),
        planes_(reinterpret_cast<uint32_t*>(scratch)),
        results_(reinterpret_cast<uint8_t*>(planes_ + plan.PlaneWords())) {}

  void Run() const {
    const int32_t channels = conv_.params.output.channels;
    for (int32_t begin = 0; begin < channels;) {
      const Block block(conv_, begin);
      RunBlock(block);
      begin += block.count;
    }
  }

 private:
  // Rows of planes are a ring: those that the next rows of windows read too stay where they are.
  [[gnu::noinline]] void RunBlock(const Block& block) const {
    uint32_t weights[kLanes][kWeightWords];
    if (kIsRegular || block.HasWords()) {
      PairWeights<true>(block, weights);
    } else {
      PairWeights<false>(block, weights);
    }
    const RowWidener widener(conv_, plan_, block);
    const int32_t height = conv_.params.output.height;
    const int32_t row_words = plan_.num_planes * plan_.num_pairs;
    uint32_t* const ring_end = planes_ + plan_.PlaneWords();
    uint32_t* row = planes_;
    uint32_t* rows[kMaxInputRows];
    int32_t kept = 0;
    for (int32_t y = 0; y < height; y += plan_.num_rows) {
      const int32_t num_rows = height - y < plan_.num_rows ? height - y : plan_.num_rows;
      const int32_t num_inputs = num_rows + 2;
      for (int32_t i = kept; i < num_inputs; ++i) {
        rows[i] = row;
        row = row + row_words == ring_end ? planes_ : row + row_words;
      }
      widener.Add<kIsRegular>(y - conv_.params.window.pad_top + kept, rows + kept,
                              rows + num_inputs);
      for (int32_t lane = 0; lane < block.count; ++lane) {
        RunLane(weights[lane], rows, lane, block.Channel(lane), num_rows);
      }
      Store(block, y, num_rows);
      kept = 2;
      rows[0] = rows[num_rows];
      rows[1] = rows[num_rows + 1];
    }
  }

  void RunLane(const uint32_t* weights, uint32_t* const* inputs, int32_t lane, int32_t channel,
               int32_t num_rows) const {
    const RowSums rows = {weights,
                          -(plan_.width / 2) & 3,
                          inputs,
                          plan_.num_planes == 1 ? 0 : 4 * lane * plan_.num_pairs,
                          4 * plan_.width,
                          results_ + lane,
                          results_ + lane + 4 * num_rows * plan_.width,
                          conv_.table.bias[channel],
                          conv_.params.output.zero_point,
                          MakeSmallFactor(FactorOf(conv_.table, channel))};
    SumRows(rows);
  }

  void Store(const Block& block, int32_t y, int32_t num_rows) const {
    const FeatureMap& out = conv_.params.output;
    const Clamp& clamp = conv_.params.clamp;
    const bool is_plain =
        kIsRegular || (out.bits == 8 && block.is_whole && clamp.min == -128 && clamp.max == 127);
    const ClampBytes bounds = MakeClampBytes(clamp);
    const int32_t step = PixelBytes(out);
    const int32_t offset = block.is_whole ? block.begin * out.bits / 8 : 0;
    const uint8_t* from = results_;
    for (int32_t row = 0; row < num_rows; ++row, from += 4 * (plan_.width - out.width)) {
      uint8_t* pixel = conv_.output + PixelOffset(out, y + row, 0) + offset;
      if (is_plain) {
        for (int32_t n = out.width; n > 0; --n, pixel += step) StoreWord(pixel, NextWord(from));
        continue;
      }
      for (int32_t n = out.width; n > 0; --n, pixel += step) {
        const uint32_t values = SmallerBytes(LargerBytes(NextWord(from), bounds.min), bounds.max);
        StorePixel(block, pixel, values);
      }
    }
  }

  void StorePixel(const Block& block, uint8_t* pixel, uint32_t values) const {
    const int32_t bits = conv_.params.output.bits;
    if (block.is_whole) return StoreFour(pixel, bits, values);
    for (int32_t lane = 0; lane < block.count; ++lane, values >>= 8) {
      StoreValue(pixel, block.begin + lane, bits, static_cast<int32_t>(values));
    }
  }

  const Depthwise& conv_;
  const DepthwiseRowsPlan& plan_;
  uint32_t* const planes_;
  uint8_t* const results_;
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_DEPTHWISE_ROWS_H_
