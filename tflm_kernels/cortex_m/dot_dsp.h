// cortex_m/dot_dsp.h - sums of products of packed weights with widened activations (widen_dsp.h).
//
// What is gained: a word of weights is loaded and unpacked once for all pixels of the column. 8-bit
// weights: 2 SXTB16 for 4; 4 and 2-bit weights: one AND with a shifted operand for 2, as
// q + 2^(bits-1), which the column's correction takes back.
// Source   written from docs/arithmetic.md A3.
#ifndef TFLM_KERNELS_CORTEX_M_DOT_DSP_H_
#define TFLM_KERNELS_CORTEX_M_DOT_DSP_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/simd_dsp.h"
#include "tflm_kernels/cortex_m/widen_dsp.h"

namespace quantmcu {
namespace dsp {

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

// The next word of weights; steps the filter.
[[gnu::always_inline]] inline uint32_t NextWord(const uint8_t*& filter) {
  uint32_t word;
  const auto& bytes = *reinterpret_cast<const uint8_t(*)[4]>(filter);
  asm("ldr %0, [%1], #4" : "=r"(word), "+r"(filter) : "m"(bytes));
  return word;
}

// One or two (kChannels) neighbouring output channels times the one or two pixels of a column. No
// loops over channels and pixels, and constant indices: so the compiler keeps all in registers.
template <int kWBits, int kChannels, int kPixels>
class Dots {
  using W = Widening<kWBits>;

 public:
  using Sums = int32_t[kChannels][kPixels];

  // Adds to sums[channel][pixel].
  [[gnu::always_inline]] static void Add(const uint8_t* filter, int32_t filter_bytes,
                                         const uint32_t* column, Sums& sums) {
    const uint8_t* next_filter = filter + filter_bytes;
    const uint32_t mask = InRegister(0x00010001u * ((1 << kWBits) - 1));
    // Two words a turn: few instructions meet one word of 8-bit weights.
    const int32_t num_words = filter_bytes >> 2;
    const uint32_t* const end = column + (num_words & ~1) * (W::kHalfGroup * kPixels);
    while (column != end) {
      AddWord(filter, next_filter, mask, column, sums);
      AddWord(filter, next_filter, mask, column, sums);
    }
    if ((num_words & 1) != 0) AddWord(filter, next_filter, mask, column, sums);
    const int32_t rest = filter_bytes & 3;
    if (rest == 0) return;
    uint32_t weights[kChannels];
    weights[0] = LoadPartOfWord(filter, rest);
    if constexpr (kChannels == 2) weights[1] = LoadPartOfWord(next_filter, rest);
    AddGroup(weights, mask, column, sums);
  }

 private:
  [[gnu::always_inline]] static void AddWord(const uint8_t*& filter, const uint8_t*& next_filter,
                                             uint32_t mask, const uint32_t*& column, Sums& sums) {
    uint32_t weights[kChannels];
    weights[0] = NextWord(filter);
    if constexpr (kChannels == 2) weights[1] = NextWord(next_filter);
    AddGroup(weights, mask, column, sums);
  }

  [[gnu::always_inline]] static void AddGroup(uint32_t (&weights)[kChannels], uint32_t mask,
                                              const uint32_t*& column, Sums& sums) {
    MakeUnsigned(&weights[0]);
    if constexpr (kChannels == 2) MakeUnsigned(&weights[1]);
    AddWords<0>(weights, mask, column, sums);
  }

  [[gnu::always_inline]] static void MakeUnsigned(uint32_t* weights) {
    if constexpr (kWBits < 8) *weights ^= kWBits == 4 ? 0x88888888u : 0xAAAAAAAAu;
  }

  // From word kWord of a group on.
  template <int kWord>
  [[gnu::always_inline]] static void AddWords(const uint32_t (&weights)[kChannels], uint32_t mask,
                                              const uint32_t*& column, Sums& sums) {
    uint32_t x[kPixels];
    LoadPixels<kPixels>(column, x);
    AddProducts(Unpacked<kWord>(weights[0], mask), x, sums[0]);
    if constexpr (kChannels == 2) AddProducts(Unpacked<kWord>(weights[1], mask), x, sums[1]);
    if constexpr (kWord + 1 < W::kHalfGroup) AddWords<kWord + 1>(weights, mask, column, sums);
  }

  // The weights that meet word kWord of a group; `weights` as MakeUnsigned leaves them.
  template <int kWord>
  [[gnu::always_inline]] static uint32_t Unpacked(uint32_t weights, uint32_t mask) {
    if constexpr (kWBits == 8) return kWord == 0 ? __sxtb16(weights) : Sxtb16Ror8(weights);
    return (weights >> (kWord * kWBits)) & mask;
  }

  [[gnu::always_inline]] static void AddProducts(uint32_t w, const uint32_t (&x)[kPixels],
                                                 int32_t (&sums)[kPixels]) {
    sums[0] = __smlad(w, x[0], sums[0]);
    if constexpr (kPixels == 2) sums[1] = __smlad(w, x[1], sums[1]);
  }
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DOT_DSP_H_
