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

// A constant that the compiler keeps in a register, where an AND takes it with a shifted operand.
inline uint32_t InRegister(uint32_t constant) {
  asm("" : "+r"(constant));
  return constant;
}

// The last 1 to 3 bytes of a filter, without those behind them.
inline uint32_t LoadPartOfWord(const uint8_t* bytes, int32_t num_bytes) {
  uint32_t word = 0;
  while (num_bytes > 0) word = word << 8 | bytes[--num_bytes];
  return word;
}

// The words of one or two pixels, one LDR or LDRD; steps the column.
template <int kPixels>
[[gnu::always_inline]] inline void LoadPixels(const uint32_t*& column, uint32_t (&x)[kPixels]) {
  const auto& words = *reinterpret_cast<const uint32_t(*)[kPixels]>(column);
  if constexpr (kPixels == 1) {
    asm("ldr %0, [%1], #4" : "=r"(x[0]), "+r"(column) : "m"(words));
  } else {
    asm("ldrd %0, %1, [%2], #8" : "=r"(x[0]), "=r"(x[1]), "+r"(column) : "m"(words));
  }
}

// One or two (kChannels) neighbouring output channels times the one or two pixels of a column. No
// loops over channels and pixels: the compiler is to keep all of it in registers.
template <int kABits, int kWBits, int kChannels, int kPixels>
class Dots {
  using W = Widening<kABits, kWBits>;
  using Values = int32_t[kChannels][kPixels];

 public:
  // Adds to sums[channel][pixel]; `start` is W::SliceStart(zero_point).
  [[gnu::always_inline]] static void Add(const uint8_t* filter, int32_t filter_bytes,
                                         const uint32_t* column, int32_t start, Values& sums) {
    const uint32_t* const end = column + (filter_bytes >> 2) * (W::kWordsPerGroup * kPixels);
    const uint8_t* next_filter = filter + filter_bytes;
    const uint32_t mask = InRegister(W::kLowBits * W::kMaxWeight);
    while (column != end) {
      uint32_t weights[kChannels];
      weights[0] = LoadWord(filter);
      filter += 4;
      if constexpr (kChannels == 2) {
        weights[1] = LoadWord(next_filter);
        next_filter += 4;
      }
      AddGroup(weights, mask, start, column, sums);
    }
    const int32_t rest = filter_bytes & 3;
    if (rest == 0) return;
    uint32_t weights[kChannels];
    weights[0] = LoadPartOfWord(filter, rest);
    if constexpr (kChannels == 2) weights[1] = LoadPartOfWord(next_filter, rest);
    AddGroup(weights, mask, start, column, sums);
  }

 private:
  [[gnu::always_inline]] static void AddGroup(uint32_t (&weights)[kChannels], uint32_t mask,
                                              int32_t start, const uint32_t*& column,
                                              Values& sums) {
    MakeUnsigned(&weights[0]);
    if constexpr (kChannels == 2) MakeUnsigned(&weights[1]);
    Values slices;
    AddWords<0>(weights, mask, start, column, slices, sums);
  }

  [[gnu::always_inline]] static void MakeUnsigned(uint32_t* weights) {
    if constexpr (kWBits < 8) *weights ^= kWBits == 4 ? 0x88888888u : 0xAAAAAAAAu;
  }

  // From word kWord of a group on.
  template <int kWord>
  [[gnu::always_inline]] static void AddWords(const uint32_t (&weights)[kChannels],
                                              uint32_t mask, int32_t start,
                                              const uint32_t*& column, Values& slices,
                                              Values& sums) {
    uint32_t x[kPixels];
    LoadPixels<kPixels>(column, x);
    AddChannel<kWord>(weights[0], mask, x, start, slices[0], sums[0]);
    if constexpr (kChannels == 2) AddChannel<kWord>(weights[1], mask, x, start, slices[1], sums[1]);
    if constexpr (kWord + 1 < W::kWordsPerGroup) {
      AddWords<kWord + 1>(weights, mask, start, column, slices, sums);
    }
  }

  template <int kWord>
  [[gnu::always_inline]] static void AddChannel(uint32_t weights, uint32_t mask,
                                                const uint32_t (&x)[kPixels], int32_t start,
                                                int32_t (&slices)[kPixels],
                                                int32_t (&sums)[kPixels]) {
    const uint32_t w = Unpacked<kWord>(weights, mask);
    AddProducts<kWord>(w, x[0], start, &slices[0], &sums[0]);
    if constexpr (kPixels == 2) AddProducts<kWord>(w, x[1], start, &slices[1], &sums[1]);
  }

  // The weights that meet word kWord of a group; `weights` as MakeUnsigned leaves them.
  template <int kWord>
  [[gnu::always_inline]] static uint32_t Unpacked(uint32_t weights, uint32_t mask) {
    if constexpr (kWBits == 8) return kWord == 0 ? __sxtb16(weights) : Sxtb16Ror8(weights);
    return (weights >> (kWord * kWBits)) & mask;
  }

  template <int kWord>
  [[gnu::always_inline]] static void AddProducts(uint32_t w, uint32_t x, int32_t start,
                                                 int32_t* slices, int32_t* sum) {
    if constexpr (!W::kIsPacked) {
      *sum = __smlad(w, x, *sum);
    } else {
      constexpr int kTurn = kWord % W::kSmladsPerSlice;
      *slices = __smlad(w, x, kTurn == 0 ? start : *slices);
      if constexpr (kTurn == W::kSmladsPerSlice - 1) *sum = AddByte1(*sum, *slices);
    }
  }
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DOT_DSP_H_
