// cortex_m/widen_dsp.h - activations widened to 16-bit lanes in the order in which the weights of a
// word unpack, so that SMLAD meets them without a shuffle; shared by convolution and fully connected.
//
// A group is the 32 / w_bits weights of one word; it meets kWordsPerGroup words of activations.
// Wide     word j: x[j] in the low half, x[j + group / 2] in the high one; 2 bytes a value.
// Packed   where a_bits + w_bits <= 6: word j holds x[j + i * step], i = 0..3, step = 8 / w_bits, each
//          half 256 * x[even i] + x[odd i]: one SMLAD with four weights in bytes has their four products'
//          sum in bits 8 to 15 (methods: HiKonv, arXiv 2208.00763, reversed operands); 1 byte a value.
// Values   x - zero_point; where a tap lies outside the map, or a run has unused bits, 0.
// Pixels   kPixels of them side by side: word j of pixel p stands at [j * kPixels + p].
// Source   written from docs/arithmetic.md A3 and docs/format.md F2.
#ifndef TFLM_KERNELS_CORTEX_M_WIDEN_DSP_H_
#define TFLM_KERNELS_CORTEX_M_WIDEN_DSP_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tflm_kernels/cortex_m/simd_dsp.h"
#include "tflm_kernels/portable/packed.h"

namespace quantmcu {
namespace dsp {

template <int kABits, int kWBits>
struct Widening {
  static constexpr bool kIsPacked = kABits + kWBits <= 6;
  static constexpr int kGroup = 32 / kWBits;
  static constexpr int kWordsPerGroup = kIsPacked ? 8 / kWBits : 16 / kWBits;
  // One value of each field of a word.
  static constexpr uint32_t kLowBits = kIsPacked ? 0x01010101u : 0x00010001u;

  // Unsigned weights are the signed ones plus this.
  static constexpr int32_t kWeightOffset = kWBits == 8 ? 0 : 1 << (kWBits - 1);
  static constexpr int32_t kMaxWeight = (1 << kWBits) - 1;

  // SMLADs whose bits 8 to 15 add up to less than 256: each adds 4 products, of which each spans
  // (2^a_bits - 1) * kMaxWeight values.
  static constexpr int kSmladsPerSlice = kABits == 2 && kWBits == 2 ? 4 : 1;

  // What keeps the slices of a packed sum from being negative: in bits 8 to 15 and below.
  static constexpr int32_t SliceOffset(int32_t zero_point) {
    const int32_t lowest = -(1 << (kABits - 1)) - zero_point;
    return -lowest * kMaxWeight * 4 * kSmladsPerSlice;
  }
  static constexpr int32_t SliceStart(int32_t zero_point) {
    return SliceOffset(zero_point) * 256 + SliceOffset(zero_point) / 2;
  }

  static constexpr int32_t NumGroups(int32_t filter_bytes) { return (filter_bytes + 3) / 4; }
};

// The bytes of `num_pixels` columns that meet `filter_bytes` of weights.
inline size_t ColumnBytes(int32_t a_bits, int32_t w_bits, int32_t filter_bytes, int32_t num_pixels) {
  const int32_t group_bytes = (a_bits + w_bits <= 6 ? 32 : 64) / w_bits;
  return static_cast<size_t>((filter_bytes + 3) / 4) * group_bytes * num_pixels;
}

template <int kABits, int kWBits, int kPixels>
class Column {
  using W = Widening<kABits, kWBits>;

 public:
  Column(uint32_t* words, int32_t zero_point)
      : words_(words),
        zero_point_(zero_point),
        zero_word_(kABits == kWBits && kABits < 8
                       ? (zero_point + (1 << (kABits - 1))) * W::kLowBits
                       : PackLowHalves(zero_point, zero_point)) {}

  // The next `count` values, of a run that starts on a group.
  void AddRun(const uint8_t* run, int32_t count) {
    const int32_t num_groups = count / W::kGroup;
    for (int32_t g = 0; g < num_groups; ++g) {
      AddGroup(run);
      run += W::kGroup * kABits / 8;
    }
    const int32_t rest = count % W::kGroup;
    if (rest == 0) return;
    Clear(1);
    AddValues(run, 0, rest);
  }

  // Zeroes for the next groups.
  void Clear(int32_t num_groups) {
    for (int32_t i = 0; i < num_groups * W::kWordsPerGroup; ++i) words_[i * kPixels] = 0;
  }

  void Skip(int32_t num_groups) { words_ += num_groups * W::kWordsPerGroup * kPixels; }

  // Values of a run at any place behind `words`, which must be zeroes.
  void AddValues(const uint8_t* run, int32_t slot, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
      const int32_t value = LoadValue(run, i, kABits) - zero_point_;
      sum_ += value;
      AddValue(slot + i, value);
    }
  }

  // Of all values so far.
  int32_t sum() const { return sum_; }

 private:
  static int32_t Value(const uint32_t* raw, int index) {
    const int position = index * kABits;
    return static_cast<int32_t>(raw[position / 32] << (32 - kABits - position % 32)) >>
           (32 - kABits);
  }

  void AddValue(int32_t slot, int32_t value) {
    constexpr int kStep = W::kWordsPerGroup;
    const int32_t index = slot % W::kGroup;
    const int32_t part = index / kStep;  // of 4 if packed, else of 2
    const int32_t half = W::kIsPacked ? part / 2 : part;
    const bool is_high_byte = W::kIsPacked && part % 2 == 0;
    const int32_t word = slot / W::kGroup * kStep + index % kStep;
    const uint32_t addend = PackLowHalves(is_high_byte ? value * 256 : value, 0);
    uint32_t& target = words_[word * kPixels];
    target = __sadd16(target, half == 0 ? addend : addend << 16);
  }

  void AddGroup(const uint8_t* run) {
    uint32_t raw[(W::kGroup * kABits + 31) / 32] = {};
    memcpy(raw, run, W::kGroup * kABits / 8);
    if constexpr (kABits == kWBits) {
      AddEqualGroup(raw[0]);
    } else {
      AddMixedGroup(raw);
    }
    Skip(1);
  }

  // Activations unpack as the weights do.
  void AddEqualGroup(uint32_t raw) {
    if constexpr (kABits == 8) {
      words_[0] = __ssub16(__sxtb16(raw), zero_word_);
      words_[kPixels] = __ssub16(Sxtb16Ror8(raw), zero_word_);
    } else {
      raw ^= 0x11111111u * (kABits == 4 ? 8 : 10);
      if constexpr (W::kIsPacked) raw = SwapBytesOfHalves(raw);
#pragma GCC unroll 8
      for (int j = 0; j < W::kWordsPerGroup; ++j) {
        const uint32_t fields = (raw >> (j * kABits)) & (W::kLowBits * ((1 << kABits) - 1));
        words_[j * kPixels] = __ssub16(fields, zero_word_);
        if constexpr (W::kIsPacked) {
          sum_ = __usada8(fields, 0, sum_);
        } else {
          sum_ = __smlad(words_[j * kPixels], 0x00010001, sum_);
        }
      }
      if constexpr (W::kIsPacked) sum_ -= W::kGroup * (zero_point_ + 2);
    }
  }

  void AddMixedGroup(const uint32_t* raw) {
    constexpr int kStep = W::kWordsPerGroup;
#pragma GCC unroll 8
    for (int j = 0; j < kStep; ++j) {
      int32_t low = Value(raw, j) - zero_point_;
      int32_t high = Value(raw, j + (W::kIsPacked ? 2 : 1) * kStep) - zero_point_;
      sum_ += low + high;
      if constexpr (W::kIsPacked) {
        const int32_t low_byte = Value(raw, j + kStep) - zero_point_;
        const int32_t high_byte = Value(raw, j + 3 * kStep) - zero_point_;
        sum_ += low_byte + high_byte;
        low = low * 256 + low_byte;
        high = high * 256 + high_byte;
      }
      words_[j * kPixels] = PackLowHalves(low, high);
    }
  }

  static uint32_t SwapBytesOfHalves(uint32_t word) {
    return ((word & 0x00FF00FFu) << 8) | ((word >> 8) & 0x00FF00FFu);
  }

  uint32_t* words_;
  const int32_t zero_point_;
  const uint32_t zero_word_;
  int32_t sum_ = 0;
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_WIDEN_DSP_H_
