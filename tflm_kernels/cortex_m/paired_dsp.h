// cortex_m/paired_dsp.h - sums of products where activations and weights have 4 or 2 bits: a halfword
// holds the activations of two pixels, so that one SMLAD multiplies two weights with both.
//
// Operand  x[pixel 0] + x[pixel 1] * 2^11 in each half of a word; the order of the words is that of
//          widen_dsp.h, two words (four pixels) side by side. Weights unpack to (q + 2^(bits-1)) * 2^5.
// Product  sum0 * 2^5 + sum1 * 2^16. Over a chunk of words of weights (one at a4w4, 14 at a2w2) sums
//          span less than 2^11 values: moved up by `offset` they are two unsigned halves, which UXTAH
//          adds up.
// Range    2^13 words of weights: then no sum leaves 26 bits.
// Source   written from docs/arithmetic.md A3; two activations in one operand as in HiKonv
//          (arXiv 2208.00763).
#ifndef TFLM_KERNELS_CORTEX_M_PAIRED_DSP_H_
#define TFLM_KERNELS_CORTEX_M_PAIRED_DSP_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dot_dsp.h"
#include "tflm_kernels/cortex_m/simd_dsp.h"
#include "tflm_kernels/cortex_m/widen_dsp.h"

namespace quantmcu {
namespace dsp {

constexpr int kPairedPixels = 4;
constexpr int kPairedShift = 11;
constexpr int32_t kMaxPairedFilterBytes = 4 << 13;

// sum + the low or the high half of `word`, unsigned.
inline int32_t AddLowHalf(int32_t sum, uint32_t word) {
  asm("uxtah %0, %1, %2" : "=r"(sum) : "r"(sum), "r"(word));
  return sum;
}

inline int32_t AddHighHalf(int32_t sum, uint32_t word) {
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

  // Gives sums[pixel] from `starts` on, plus `offset` for each chunk.
  [[gnu::always_inline]] static void Sum(const uint8_t* filter, int32_t filter_bytes,
                                         const uint32_t* column, int32_t offset,
                                         const int32_t (&starts)[kPairedPixels],
                                         int32_t (&sums)[kPairedPixels]) {
    const uint32_t* const end = column + (filter_bytes >> 2) * W::kGroup;
    const uint32_t mask = InRegister(kMask);
    const int32_t start = offset << 16 | offset << 5;
    Halves halves = {starts[0], starts[1], starts[2], starts[3]};
    while (column != end) {
      int32_t pair0 = start;
      int32_t pair1 = start;
      if constexpr (kChunk == 1) {
        AddGroup(NextWord(filter), mask, column, pair0, pair1);
      } else {
        const uint32_t* const limit = column + kChunk * W::kGroup;
        const uint32_t* const chunk_end = limit < end ? limit : end;
        do {
          AddGroup(NextWord(filter), mask, column, pair0, pair1);
        } while (column != chunk_end);
      }
      AddHalves(pair0, pair1, halves);
    }
    if ((filter_bytes & 3) != 0) {
      int32_t pair0 = start;
      int32_t pair1 = start;
      AddGroup(LoadPartOfWord(filter, filter_bytes & 3), mask, column, pair0, pair1);
      AddHalves(pair0, pair1, halves);
    }
    sums[0] = halves.low0 >> 5;
    sums[1] = halves.high0;
    sums[2] = halves.low1 >> 5;
    sums[3] = halves.high1;
  }

 private:
  struct Halves {
    int32_t low0;
    int32_t high0;
    int32_t low1;
    int32_t high1;
  };

  [[gnu::always_inline]] static void AddHalves(int32_t pair0, int32_t pair1, Halves& halves) {
    halves.low0 = AddLowHalf(halves.low0, pair0);
    halves.high0 = AddHighHalf(halves.high0, pair0);
    halves.low1 = AddLowHalf(halves.low1, pair1);
    halves.high1 = AddHighHalf(halves.high1, pair1);
  }

  [[gnu::always_inline]] static void AddGroup(uint32_t weights, uint32_t mask,
                                              const uint32_t*& column, int32_t& pair0,
                                              int32_t& pair1) {
    weights ^= kWBits == 4 ? 0x88888888u : 0xAAAAAAAAu;
    AddWords<0>(weights, mask, column, pair0, pair1);
  }

  // From word kWord of a group on.
  template <int kWord>
  [[gnu::always_inline]] static void AddWords(uint32_t weights, uint32_t mask,
                                              const uint32_t*& column, int32_t& pair0,
                                              int32_t& pair1) {
    uint32_t x[2];
    LoadPixels<2>(column, x);
    constexpr int kRight = kWord * kWBits - 5;
    const uint32_t w = (kRight < 0 ? weights << (-kRight & 31) : weights >> (kRight & 31)) & mask;
    pair0 = __smlad(w, x[0], pair0);
    pair1 = __smlad(w, x[1], pair1);
    if constexpr (kWord + 1 < W::kHalfGroup)
      AddWords<kWord + 1>(weights, mask, column, pair0, pair1);
  }
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_PAIRED_DSP_H_
