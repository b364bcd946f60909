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
#include "tflm_kernels/cortex_m/dsp/row_widener.h"
#include "tflm_kernels/cortex_m/dsp/scratch.h"

namespace quantmcu {
namespace dsp {

constexpr int32_t kWeightWords = 6;  // of a channel

// Two taps of a block as int16, side by side, to a word of each lane.
[[gnu::always_inline]] inline void SpreadLanes(uint32_t a, uint32_t b, uint32_t* word) {
  const uint32_t low = PackLowHalves(a, b);
  const uint32_t high = PackHighHalves(a, b);
  word[0] = Sxtb16(low);
  word[kWeightWords] = Sxtb16Ror8(low);
  word[2 * kWeightWords] = Sxtb16(high);
  word[3 * kWeightWords] = Sxtb16Ror8(high);
}

template <bool kHasWords>
[[gnu::noinline]] void PairWeights(const Block& block, uint32_t (&weights)[kLanes][kWeightWords]) {
  const int32_t tap_bytes = block.tap_bytes;
  const uint8_t* words = block.filter;
  int32_t tap = 0;
  const auto next = [&]() __attribute__((always_inline)) {
    if constexpr (!kHasWords) return block.Weights(tap++);
    const uint32_t word = LoadWord(words);
    words += tap_bytes;
    return word;
  };
  for (uint32_t* pair = weights[0]; pair != weights[0] + kWeightWords; pair += 2) {
    const uint32_t first = next();
    const uint32_t second = next();
    const uint32_t third = next();
    SpreadLanes(first, second, pair);
    SpreadLanes(second, third, pair + 1);
  }
}

// kIsRegular: of calls that are.
template <bool kIsRegular>
class DepthwiseRows {
 public:
  DepthwiseRows(const Depthwise& conv, const DepthwiseRowsPlan& plan, uint8_t* scratch)
      : conv_(conv),
        plan_(plan),
        widener_(conv.params.input, conv.params.window.pad_left, plan),
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
      Widen(block, y - conv_.params.window.pad_top + kept, rows + kept, rows + num_inputs);
      RunLanes(block, weights, rows, num_rows);
      Store(block, y, num_rows);
      kept = 2;
      rows[0] = rows[num_rows];
      rows[1] = rows[num_rows + 1];
    }
  }

  // The rows of the input from y on, to [row, row_end).
  void Widen(const Block& block, int32_t y, uint32_t* const* row, uint32_t* const* row_end) const {
    const uint8_t* const input =
        conv_.input + (kIsRegular ? block.begin : block.begin / conv_.params.depth_multiplier);
    const int32_t num_values = plan_.num_planes == 1 ? 1 : block.count;
    if (kIsRegular || num_values == kLanes) return widener_.AddFour(input, y, row, row_end);
    for (int32_t lane = 0; lane < num_values; ++lane) {
      widener_.AddOne(input + lane, y, lane, row, row_end);
    }
  }

  void RunLanes(const Block& block, const uint32_t (&weights)[kLanes][kWeightWords],
                uint32_t* const* inputs, int32_t num_rows) const {
    const ChannelTable& table = conv_.table;
    const int32_t* const bias = table.bias + block.begin;
    const int32_t width = plan_.width;
    RowSums rows = {bias,
                    weights[0],
                    0,
                    results_,
                    BytesBetween(table.bias, table.shift),
                    BytesBetween(table.bias, table.multiplier),
                    plan_.num_planes == 1 ? 0 : 4 * plan_.num_pairs,
                    4 * num_rows * width,
                    inputs,
                    bias + block.count,
                    4 * width,
                    conv_.params.output.zero_point,
                    -(width / 2) & 3};
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
  const RowWidener widener_;
  uint32_t* const planes_;
  uint8_t* const results_;
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_DEPTHWISE_ROWS_H_
