// cortex_m/dsp/row_widener.h - rows of an 8-bit map, widened into planes for depthwise_rows.h: two neighbours a word,
// a plane an input channel.
//
// What is gained: four channels are widened at once; which pairs of a row lie outside the map is found once a call.
// Source   written from docs/arithmetic.md A3.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_ROW_WIDENER_H_
#define TFLM_KERNELS_CORTEX_M_DSP_ROW_WIDENER_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/fixed_point.h"
#include "tflm_kernels/cortex_m/dsp/scratch.h"
#include "tflm_kernels/cortex_m/dsp/simd.h"
#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {
namespace dsp {

// Where the next words of kPlanes planes stand; no array, as the compiler keeps that in memory.
template <int kPlanes>
class Planes {
 public:
  [[gnu::always_inline]] Planes(uint32_t* words, int32_t distance, uint32_t minus_zeros)
      : words0_(words),
        words1_(words + distance),
        words2_(words1_ + distance),
        words3_(words2_ + distance),
        minus_zeros_(minus_zeros) {}

  // Two neighbours, to a word of each plane.
  [[gnu::always_inline]] void Put(uint32_t a, uint32_t b) {
    const uint32_t low = PackLowHalves(a, b);
    const uint32_t high = PackHighHalves(a, b);
    PutWords(Sxtab16(minus_zeros_, low), Sxtab16Ror8(minus_zeros_, low),
             Sxtab16(minus_zeros_, high), Sxtab16Ror8(minus_zeros_, high));
  }

  [[gnu::always_inline]] void PutZeroes(int32_t count) {
    for (; count > 0; --count) PutWords(0, 0, 0, 0);
  }

 private:
  [[gnu::always_inline]] void PutWords(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    StoreNext(a, words0_);
    if constexpr (kPlanes == 1) return;
    StoreNext(b, words1_);
    StoreNext(c, words2_);
    StoreNext(d, words3_);
  }

  // In assembly, as the compiler moves several pointers in instructions of their own.
  [[gnu::always_inline]] static void StoreNext(uint32_t word, uint32_t*& words) {
    auto& memory = *words;
    asm("str %2, [%1], #4" : "=m"(memory), "+r"(words) : "r"(word));
  }

  uint32_t* words0_;
  uint32_t* words1_;
  uint32_t* words2_;
  uint32_t* words3_;
  const uint32_t minus_zeros_;
};

class RowWidener {
 public:
  // pad_left: columns outside the map before its first one.
  [[gnu::always_inline]] RowWidener(const FeatureMap& input, int32_t pad_left,
                                    const DepthwiseRowsPlan& plan)
      : num_pairs_(plan.num_pairs),
        height_(input.width > 0 ? input.height : 0),
        row_bytes_(input.row_bytes),
        step_(PixelBytes(input)),
        outside_(Repeated(input.zero_point)),
        minus_zeros_(PackLowHalves(-input.zero_point, -input.zero_point)),
        before_(pad_left > 1 ? Smaller(pad_left / 2, num_pairs_) : 0),
        has_first_(pad_left % 2 == 1 && before_ < num_pairs_),
        begin_(pad_left < 0 ? -pad_left : 0) {
    const int32_t done = before_ + (has_first_ ? 1 : 0);
    const int32_t left = input.width - begin_ - (has_first_ ? 1 : 0);
    inside_ = left > 0 ? Smaller(left / 2, num_pairs_ - done) : 0;
    has_last_ = left > 2 * inside_ && done + inside_ < num_pairs_;
    after_ = num_pairs_ - done - inside_ - (has_last_ ? 1 : 0);
  }

  // Of four neighbouring channels from that at `input` on, the rows from y on, to [row, row_end); zeroes where the map has
  // none.
  void AddFour(const uint8_t* input, int32_t y, uint32_t* const* row,
               uint32_t* const* row_end) const {
    AddRows<4>(input, y, 0, row, row_end, [](const uint8_t* values) { return LoadWord(values); });
  }

  // Of one channel, to the plane of `lane`.
  void AddOne(const uint8_t* input, int32_t y, int32_t lane, uint32_t* const* row,
              uint32_t* const* row_end) const {
    AddRows<1>(input, y, lane, row, row_end, [](const uint8_t* value) { return uint32_t{*value}; });
  }

 private:
  // load(pixel): its values, of which the first kPlanes count.
  template <int kPlanes, typename Load>
  [[gnu::noinline]] void AddRows(const uint8_t* input, int32_t y, int32_t lane,
                                 uint32_t* const* row, uint32_t* const* row_end,
                                 const Load load) const {
    const int32_t step = step_;
    const uint8_t* pixels = input + y * row_bytes_ + begin_ * step;
    for (; row != row_end; ++row, ++y, pixels += row_bytes_) {
      Planes<kPlanes> planes(*row + lane * num_pairs_, num_pairs_, minus_zeros_);
      // Of a negative y no height is above it.
      if (static_cast<uint32_t>(y) >= static_cast<uint32_t>(height_)) {
        planes.PutZeroes(num_pairs_);
        continue;
      }
      const uint8_t* pixel = pixels;
      planes.PutZeroes(before_);
      if (has_first_) {
        planes.Put(outside_, load(pixel));
        pixel += step;
      }
      for (int32_t n = inside_; n > 0; --n, pixel += 2 * step) {
        planes.Put(load(pixel), load(pixel + step));
      }
      if (has_last_) planes.Put(load(pixel), outside_);
      planes.PutZeroes(after_);
    }
  }

  const int32_t num_pairs_;
  const int32_t height_;
  const int32_t row_bytes_;
  const int32_t step_;
  const uint32_t outside_;
  const uint32_t minus_zeros_;
  // Pairs of a row, in their order: outside, half outside, inside, half outside, outside.
  const int32_t before_;
  const bool has_first_;
  const int32_t begin_;  // column of the first value that is read
  int32_t inside_;
  bool has_last_;
  int32_t after_;
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_ROW_WIDENER_H_
