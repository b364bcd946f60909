// cortex_m/dsp/paired.h - sums of products where activations and weights have 4 or 2 bits: a halfword
// holds the activations of two pixels, so that one SMLAD multiplies two weights with both.
//
// Operand  x[pixel 0] + x[pixel 1] * 2^11 in each half of a word; the order of the words is that of
//          widen.h, two words (four pixels) side by side. Weights unpack to (q + 2^(bits-1)) * 2^5.
// Product  sum0 * 2^5 + sum1 * 2^16. Over a chunk of words of weights (one at a4w4, 14 at a2w2) sums
//          span less than 2^11 values: moved up by `offset` they are two unsigned halves, which UXTAH
//          adds up.
// Range    2^13 words of weights: then no sum leaves 26 bits.
// Source   written from docs/arithmetic.md A3; two activations in one operand as in HiKonv
//          (arXiv 2208.00763).
#ifndef TFLM_KERNELS_CORTEX_M_DSP_PAIRED_H_
#define TFLM_KERNELS_CORTEX_M_DSP_PAIRED_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/dot.h"
#include "tflm_kernels/cortex_m/dsp/simd.h"
#include "tflm_kernels/cortex_m/dsp/widen.h"

namespace quantmcu {
namespace dsp {

constexpr int kPairedPixels = 4;
constexpr int kPairedShift = 11;

// sum + the low or the high half of `word`, unsigned.
inline int32_t AddLowHalf(int32_t sum, int32_t word) {
  asm("uxtah %0, %1, %2" : "=r"(sum) : "r"(sum), "r"(word));
  return sum;
}

inline int32_t AddHighHalf(int32_t sum, int32_t word) {
  asm("uxtah %0, %1, %2, ror #16" : "=r"(sum) : "r"(sum), "r"(word));
  return sum;
}

template <int kABits, int kWBits>
class PairedDots {
  using W = Widening<kWBits>;
  static constexpr uint32_t kMask = 0x00200020u * ((1 << kWBits) - 1);

  static constexpr int32_t kMaxWeight = (1 << kWBits) - 1;
  static constexpr int32_t kSpan = ((1 << kABits) - 1) * kMaxWeight * W::kGroup;

 public:
  // Words of weights whose sums span less than 2^11 values.
  static constexpr int32_t kChunk = 2047 / kSpan;

  // What makes the sums of a chunk non-negative.
  static constexpr int32_t Offset(int32_t zero_point) {
    return (zero_point + (1 << (kABits - 1))) * kMaxWeight * W::kGroup * kChunk;
  }

  static constexpr int32_t NumChunks(int32_t filter_bytes) {
    return ((filter_bytes >> 2) + kChunk - 1) / kChunk + ((filter_bytes & 3) != 0 ? 1 : 0);
  }

  // Where the sums of a pixel start: for pixels 0 and 2 in units of 2^-5.
  static int32_t Start(int32_t correction, int pixel) {
    return pixel % 2 == 0 ? correction * 32 : correction;
  }

  // Channels that share a load of activations: their sums need the registers of a chunk's loop, which
  // pays where chunks are long.
  static constexpr int kChannels = kChunk >= 4 ? 2 : 1;

  // Gives sums[channel][pixel] of neighbouring channels from `starts` on, plus `offset` for each chunk.
  template <int kCount>
  [[gnu::always_inline]] static void Sum(const uint8_t* filter, int32_t filter_bytes,
                                         const uint32_t* column, int32_t offset,
                                         const int32_t (&starts)[kPairedPixels],
                                         int32_t (&sums)[kCount][kPairedPixels]) {
    const uint8_t* next_filter = filter + filter_bytes;
    const uint32_t* const end = column + (filter_bytes >> 2) * W::kGroup;
    const uint32_t mask = InRegister(kMask);
    const int32_t start = offset << 16 | offset << 5;
    CopySums(starts, sums[0]);
    if constexpr (kCount == 2) CopySums(starts, sums[1]);
    while (column != end) {
      Pairs<kCount> pairs = StartPairs<kCount>(start);
      if constexpr (kChunk == 1) {
        AddNextGroup(filter, next_filter, mask, column, pairs);
      } else {
        const uint32_t* const limit = column + kChunk * W::kGroup;
        const uint32_t* const chunk_end = limit < end ? limit : end;
        do {
          AddNextGroup(filter, next_filter, mask, column, pairs);
        } while (column != chunk_end);
      }
      AddHalves(pairs, sums);
    }
    if ((filter_bytes & 3) != 0) {
      Pairs<kCount> pairs = StartPairs<kCount>(start);
      uint32_t weights[kCount];
      weights[0] = LoadPartOfWord(filter, filter_bytes);
      if constexpr (kCount == 2) weights[1] = LoadPartOfWord(next_filter, filter_bytes);
      AddGroup(weights, mask, column, pairs);
      AddHalves(pairs, sums);
    }
    MoveDown(sums[0]);
    if constexpr (kCount == 2) MoveDown(sums[1]);
  }

 private:
  // Of two pixels each.
  template <int kCount>
  struct Pairs {
    int32_t sums[kCount][kPairedPixels / 2];
  };

  template <int kCount>
  static Pairs<kCount> StartPairs(int32_t start) {
    if constexpr (kCount == 1) return {{{start, start}}};
    if constexpr (kCount == 2) return {{{start, start}, {start, start}}};
  }

  [[gnu::always_inline]] static void CopySums(const int32_t (&starts)[kPairedPixels],
                                              int32_t (&sums)[kPairedPixels]) {
    sums[0] = starts[0];
    sums[1] = starts[1];
    sums[2] = starts[2];
    sums[3] = starts[3];
  }

  [[gnu::always_inline]] static void MoveDown(int32_t (&sums)[kPairedPixels]) {
    sums[0] >>= 5;
    sums[2] >>= 5;
  }

  template <int kCount>
  [[gnu::always_inline]] static void AddHalves(const Pairs<kCount>& pairs,
                                               int32_t (&sums)[kCount][kPairedPixels]) {
    AddHalves(pairs.sums[0], sums[0]);
    if constexpr (kCount == 2) AddHalves(pairs.sums[1], sums[1]);
  }

  [[gnu::always_inline]] static void AddHalves(const int32_t (&pairs)[2],
                                               int32_t (&sums)[kPairedPixels]) {
    sums[0] = AddLowHalf(sums[0], pairs[0]);
    sums[1] = AddHighHalf(sums[1], pairs[0]);
    sums[2] = AddLowHalf(sums[2], pairs[1]);
    sums[3] = AddHighHalf(sums[3], pairs[1]);
  }

  template <int kCount>
  [[gnu::always_inline]] static void AddNextGroup(const uint8_t*& filter,
                                                  const uint8_t*& next_filter, uint32_t mask,
                                                  const uint32_t*& column, Pairs<kCount>& pairs) {
    uint32_t weights[kCount];
    weights[0] = NextWord(filter);
    if constexpr (kCount == 2) weights[1] = NextWord(next_filter);
    AddGroup(weights, mask, column, pairs);
  }

  template <int kCount>
  [[gnu::always_inline]] static void AddGroup(uint32_t (&weights)[kCount], uint32_t mask,
                                              const uint32_t*& column, Pairs<kCount>& pairs) {
    constexpr uint32_t kSigns = kWBits == 4 ? 0x88888888u : 0xAAAAAAAAu;
    weights[0] ^= kSigns;
    if constexpr (kCount == 2) weights[1] ^= kSigns;
    AddWords<0>(weights, mask, column, pairs);
  }

  // From word kWord of a group on.
  template <int kWord, int kCount>
  [[gnu::always_inline]] static void AddWords(const uint32_t (&weights)[kCount], uint32_t mask,
                                              const uint32_t*& column, Pairs<kCount>& pairs) {
    uint32_t x[2];
    LoadTwo(column, &x[0], &x[1]);
    AddProducts(Unpacked<kWord>(weights[0], mask), x, pairs.sums[0]);
    if constexpr (kCount == 2) AddProducts(Unpacked<kWord>(weights[1], mask), x, pairs.sums[1]);
    if constexpr (kWord + 1 < W::kHalfGroup) AddWords<kWord + 1>(weights, mask, column, pairs);
  }

  template <int kWord>
  [[gnu::always_inline]] static uint32_t Unpacked(uint32_t weights, uint32_t mask) {
    constexpr int kRight = kWord * kWBits - 5;
    return (kRight < 0 ? weights << (-kRight & 31) : weights >> (kRight & 31)) & mask;
  }

  [[gnu::always_inline]] static void AddProducts(uint32_t w, const uint32_t (&x)[2],
                                                 int32_t (&pairs)[2]) {
    pairs[0] = Smlad(w, x[0], pairs[0]);
    pairs[1] = Smlad(w, x[1], pairs[1]);
  }
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_PAIRED_H_
