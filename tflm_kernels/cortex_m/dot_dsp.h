// cortex_m/dot_dsp.h - sums of products of packed weights with widened activations (widen_dsp.h).
//
// What is gained: a word of weights is loaded and unpacked once for all pixels of the column. 8-bit
// weights: 2 SXTB16 for 4; 4 and 2-bit weights: one AND with a shifted operand for 2, as q + 2^(bits-1),
// which the column's correction takes back. Packed columns: one AND for 4 weights, one SMLAD for 4
// products, and one UXTAB to take the sum out of bits 8 to 15.
// Source   written from docs/arithmetic.md A3.
#ifndef TFLM_KERNELS_CORTEX_M_DOT_DSP_H_
#define TFLM_KERNELS_CORTEX_M_DOT_DSP_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/simd_dsp.h"
#include "tflm_kernels/cortex_m/widen_dsp.h"

namespace quantmcu {
namespace dsp {

// sum + byte 1 of `word`.
inline int32_t AddByte1(int32_t sum, uint32_t word) {
  asm("uxtab %0, %1, %2, ror #8" : "=r"(sum) : "r"(sum), "r"(word));
  return sum;
}

// The last 1 to 3 bytes of a filter, without those behind them.
inline uint32_t LoadPartOfWord(const uint8_t* bytes, int32_t num_bytes) {
  uint32_t word = 0;
  while (num_bytes > 0) word = word << 8 | bytes[--num_bytes];
  return word;
}

// kChannels neighbouring output channels times the kPixels of a column.
template <int kABits, int kWBits, int kChannels, int kPixels>
class Dots {
  using W = Widening<kABits, kWBits>;

 public:
  // Adds to sums[channel][pixel]; `start` is W::SliceStart(zero_point).
  static void Add(const uint8_t* filter, int32_t filter_bytes, const uint32_t* column,
                  int32_t start, int32_t sums[kChannels][kPixels]) {
    const uint32_t* const end = column + filter_bytes / 4 * (W::kWordsPerGroup * kPixels);
    while (column != end) {
      uint32_t weights[kChannels];
      for (int c = 0; c < kChannels; ++c) weights[c] = LoadWord(filter + c * filter_bytes);
      filter += 4;
      AddGroup(weights, column, start, sums);
      column += W::kWordsPerGroup * kPixels;
    }
    const int32_t rest = filter_bytes % 4;
    if (rest == 0) return;
    uint32_t weights[kChannels];
    for (int c = 0; c < kChannels; ++c) {
      weights[c] = LoadPartOfWord(filter + c * filter_bytes, rest);
    }
    AddGroup(weights, column, start, sums);
  }

 private:
  static uint32_t Unsigned(uint32_t weights) {
    return weights ^ (kWBits == 4 ? 0x88888888u : 0xAAAAAAAAu);
  }

  // The weights that meet word j of a group; `weights` as Unsigned gives them, or of 8 bits.
  static uint32_t Unpacked(uint32_t weights, int j) {
    if constexpr (kWBits == 8) return j == 0 ? __sxtb16(weights) : Sxtb16Ror8(weights);
    return (weights >> (j * kWBits)) & (W::kLowBits * W::kMaxWeight);
  }

  [[gnu::always_inline]] static void AddGroup(uint32_t* weights, const uint32_t* column,
                                              int32_t start, int32_t sums[kChannels][kPixels]) {
    if constexpr (kWBits < 8) {
      for (int c = 0; c < kChannels; ++c) weights[c] = Unsigned(weights[c]);
    }
    int32_t slices[kChannels][kPixels];
    for (int j = 0; j < W::kWordsPerGroup; ++j) {
      uint32_t x[kPixels];
      memcpy(x, column + j * kPixels, sizeof(x));
      for (int c = 0; c < kChannels; ++c) {
        const uint32_t w = Unpacked(weights[c], j);
        for (int p = 0; p < kPixels; ++p) {
          if constexpr (!W::kIsPacked) {
            sums[c][p] = __smlad(w, x[p], sums[c][p]);
          } else {
            const bool is_first = j % W::kSmladsPerSlice == 0;
            slices[c][p] = __smlad(w, x[p], is_first ? start : slices[c][p]);
            if ((j + 1) % W::kSmladsPerSlice == 0) sums[c][p] = AddByte1(sums[c][p], slices[c][p]);
          }
        }
      }
    }
  }
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DOT_DSP_H_
