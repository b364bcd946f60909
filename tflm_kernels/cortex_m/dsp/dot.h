// cortex_m/dsp/dot.h - sums of products of packed weights with widened activations (widen.h).
//
// What is gained: a word of weights is loaded and unpacked once for all pixels of the column. 8-bit
// weights: 2 SXTB16 for 4; 4 and 2-bit weights: one AND with a shifted operand for 2, as
// q + 2^(bits-1), which the column's correction takes back.
// Source   written from docs/arithmetic.md A3.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_DOT_H_
#define TFLM_KERNELS_CORTEX_M_DSP_DOT_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/simd.h"
#include "tflm_kernels/cortex_m/dsp/widen.h"

namespace quantmcu {
namespace dsp {

// The last 1 to 3 bytes, at `rest`, of a filter of num_bytes; what is behind them is not read.
inline uint32_t LoadPartOfWord(const uint8_t* rest, int32_t num_bytes) {
  const int32_t missing = -num_bytes & 3;
  if (num_bytes > 4) return LoadWord(rest - missing) >> (8 * missing);
  uint32_t word = 0;
  for (int32_t n = 4 - missing; n > 0;) word = word << 8 | rest[--n];
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
    if ((filter_bytes & 3) == 0) return;
    uint32_t weights[kChannels];
    weights[0] = LoadPartOfWord(filter, filter_bytes);
    if constexpr (kChannels == 2) weights[1] = LoadPartOfWord(next_filter, filter_bytes);
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

  // From word kWord of a group on. Always two words a load: of two pixels, or neighbours of one.
  template <int kWord>
  [[gnu::always_inline]] static void AddWords(const uint32_t (&weights)[kChannels], uint32_t mask,
                                              const uint32_t*& column, Sums& sums) {
    uint32_t x[2];
    LoadTwo(column, &x[0], &x[1]);
    AddProducts<kWord>(weights[0], mask, x, sums[0]);
    if constexpr (kChannels == 2) AddProducts<kWord>(weights[1], mask, x, sums[1]);
    constexpr int kNext = kWord + 2 / kPixels;
    if constexpr (kNext < W::kHalfGroup) AddWords<kNext>(weights, mask, column, sums);
  }

  // The weights that meet word kWord of a group; `weights` as MakeUnsigned leaves them.
  template <int kWord>
  [[gnu::always_inline]] static uint32_t Unpacked(uint32_t weights, uint32_t mask) {
    if constexpr (kWBits == 8) return kWord == 0 ? Sxtb16(weights) : Sxtb16Ror8(weights);
    return (weights >> (kWord * kWBits)) & mask;
  }

  template <int kWord>
  [[gnu::always_inline]] static void AddProducts(uint32_t weights, uint32_t mask,
                                                 const uint32_t (&x)[2], int32_t (&sums)[kPixels]) {
    const uint32_t w = Unpacked<kWord>(weights, mask);
    sums[0] = Smlad(w, x[0], sums[0]);
    if constexpr (kPixels == 2) {
      sums[1] = Smlad(w, x[1], sums[1]);
    } else {
      sums[0] = Smlad(Unpacked<kWord + 1>(weights, mask), x[1], sums[0]);
    }
  }
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_DOT_H_
