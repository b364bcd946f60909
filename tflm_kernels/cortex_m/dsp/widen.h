// cortex_m/dsp/widen.h - activations widened to halfwords in the order in which the weights of a word
// unpack, so that SMLAD meets them without a shuffle; shared by convolution and fully connected.
//
// A group is the 32 / w_bits weights of one word. Word j of the half group of words that meets it holds
// x[j] in the low half and x[j + group / 2] in the high one.
// Values   x - zero_point; where a tap lies outside the map, or a run has unused bits, 0.
// Pixels   kStride words side by side: words j and j + 1 of a pixel stand kStride words apart.
// Source   written from docs/arithmetic.md A3 and docs/format.md F2; the order of unpacking as in
//          CMix-NN (Capotondi et al., TCAS-II 2020).
#ifndef TFLM_KERNELS_CORTEX_M_DSP_WIDEN_H_
#define TFLM_KERNELS_CORTEX_M_DSP_WIDEN_H_

#include <stdint.h>
#include <string.h>

#include "tflm_kernels/cortex_m/dsp/scratch.h"
#include "tflm_kernels/cortex_m/dsp/simd.h"
#include "tflm_kernels/portable/law/packed.h"

namespace quantmcu {
namespace dsp {

template <int kWBits>
struct Widening {
  static constexpr int kGroup = 32 / kWBits;
  static constexpr int kHalfGroup = kGroup / 2;

  // Weights below 8 bits unpack to q + kWeightOffset.
  static constexpr int32_t kWeightOffset = kWBits == 8 ? 0 : 1 << (kWBits - 1);
};

// The words of one pixel in the making.
struct Column {
  uint32_t* words;
  int32_t zero_point;
  int32_t sum;  // of the values so far; only w_bits < 8 needs it
};

// Zeroes for all groups: needed where AddSpan will not write every value.
inline void Clear(const Column& column, int32_t num_groups, int32_t w_bits, int32_t stride) {
  uint32_t* words = column.words;
  for (int32_t left = num_groups * (16 / w_bits); left > 0; left -= 2, words += 2 * stride) {
    words[0] = 0;
    words[stride] = 0;
  }
}

// `count` values from a run's start on, for the places from `slot` on.
using AddSpanFn = void(const uint8_t* run, int32_t slot, int32_t count, Column* column);

// Spans that do not begin or end on a group; one for all strides, for it is the groups that take the time. kShift: as of
// Widen.
template <int kABits, int kWBits, int kShift>
class WidenUnaligned {
  using W = Widening<kWBits>;

 public:
  // add_groups: for the whole groups of the span.
  [[gnu::noinline]] static void AddSpan(const uint8_t* run, int32_t slot, int32_t count,
                                        Column* column, int32_t stride, AddSpanFn* add_groups) {
    const int32_t to_group = -slot & (W::kGroup - 1);
    if (to_group > 0) {
      const int32_t head = to_group < count && to_group * kABits % 8 == 0 ? to_group : count;
      AddValues(run, slot, head, column, stride);
      run += head * kABits / 8;
      slot += head;
      count -= head;
    }
    const int32_t whole = count & ~(W::kGroup - 1);
    if (whole > 0) add_groups(run, slot, whole, column);
    if (whole < count) {
      AddValues(run + whole * kABits / 8, slot + whole, count - whole, column, stride);
    }
  }

 private:
  [[gnu::noinline]] static void AddValues(const uint8_t* run, int32_t slot, int32_t count,
                                          Column* column, int32_t stride) {
    const int32_t zero_point = column->zero_point;
    int32_t sum = column->sum;
    int16_t* half = Half(*column, slot, stride);
    for (int32_t i = 0; i < count; ++i) {
      const int32_t value = LoadValue(run, i, kABits) - zero_point;
      sum += value;
      const int32_t rest = kShift == 0 ? 0 : *half;
      *half = static_cast<int16_t>(rest + value * (1 << kShift));
      ++slot;
      half = slot % W::kHalfGroup == 0 ? Half(*column, slot, stride) : half + 2 * stride;
    }
    column->sum = sum;
  }

  static int16_t* Half(const Column& column, int32_t slot, int32_t stride) {
    const int32_t half = slot / W::kHalfGroup;
    const int32_t word = half / 2 * W::kHalfGroup + slot % W::kHalfGroup;
    return reinterpret_cast<int16_t*>(column.words + word * stride) + half % 2;
  }
};

// With kShift, all halves are shifted left by so much and added to what stands there: another pixel's,
// that has been widened before.
template <int kABits, int kWBits, int kStride, int kShift = 0>
class Widen {
  using W = Widening<kWBits>;

 public:
  static void AddSpan(const uint8_t* run, int32_t slot, int32_t count, Column* column) {
    if (((slot | count) & (W::kGroup - 1)) == 0) return AddGroups(run, slot, count, column);
    WidenUnaligned<kABits, kWBits, kShift>::AddSpan(run, slot, count, column, kStride, AddSpan);
  }

  // The same where slot and count are of whole groups.
  static void AddWholeGroups(const uint8_t* run, int32_t slot, int32_t count, Column* column) {
    AddGroups(run, slot, count, column);
  }

 private:
  // Whole groups.
  static void AddGroups(const uint8_t* run, int32_t slot, int32_t count, Column* column) {
    uint32_t* words =
        column->words + static_cast<uint32_t>(slot) / W::kGroup * (W::kHalfGroup * kStride);
    const auto num_groups = static_cast<int32_t>(static_cast<uint32_t>(count) / W::kGroup);
    if constexpr (kABits == 8 && kWBits == 8) {
      return AddBytes(run, num_groups, words, column->zero_point);
    }
    const int32_t zero = column->zero_point + (kABits == kWBits ? W::kWeightOffset : 0);
    const uint32_t zero_pair = PackLowHalves(zero, zero);
    const uint32_t* const end = words + num_groups * (W::kHalfGroup * kStride);
    int32_t sum = column->sum;
    while (words != end) {
      sum = AddGroup(run, zero_pair, words, sum);
      run += W::kGroup * kABits / 8;
      words += W::kHalfGroup * kStride;
    }
    column->sum = sum;
  }

  // Two groups a turn, whose loads stand together.
  [[gnu::always_inline]] static void AddBytes(const uint8_t* run, int32_t num_groups,
                                              uint32_t* words, int32_t zero_point) {
    const uint32_t minus_zero = PackLowHalves(-zero_point, -zero_point);
    for (; num_groups >= 2; num_groups -= 2, words += 4 * kStride) {
      const uint32_t first = NextWord(run);
      const uint32_t second = NextWord(run);
      words[0] = Sxtab16(minus_zero, first);
      words[kStride] = Sxtab16Ror8(minus_zero, first);
      words[2 * kStride] = Sxtab16(minus_zero, second);
      words[3 * kStride] = Sxtab16Ror8(minus_zero, second);
    }
    if (num_groups > 0) {
      const uint32_t word = LoadWord(run);
      words[0] = Sxtab16(minus_zero, word);
      words[kStride] = Sxtab16Ror8(minus_zero, word);
    }
  }

  [[gnu::always_inline]] static int32_t AddGroup(const uint8_t* run, uint32_t zero_pair,
                                                 uint32_t* words, int32_t sum) {
    uint32_t raw[(W::kGroup * kABits + 31) / 32] = {};
    memcpy(raw, run, W::kGroup * kABits / 8);
    if (kABits == kWBits && kABits < 8) raw[0] ^= kABits == 4 ? 0x88888888u : 0xAAAAAAAAu;
#pragma GCC unroll 8
    for (int j = 0; j < W::kHalfGroup; ++j) {
      const uint32_t pair = Ssub16(RawPair(raw, j), zero_pair);
      if (kWBits < 8) sum = Smlad(pair, 0x00010001, sum);
      uint32_t& word = words[j * kStride];
      word = kShift == 0 ? pair : Sadd16(word, pair << kShift & kShiftedHalves);
    }
    return sum;
  }

  // Values j and j + half a group. Where both widths are equal, activations unpack as weights do.
  [[gnu::always_inline]] static uint32_t RawPair(const uint32_t* raw, int j) {
    if constexpr (kABits == 8 && kWBits == 8) return j == 0 ? Sxtb16(raw[0]) : Sxtb16Ror8(raw[0]);
    if constexpr (kABits == kWBits) {
      return raw[0] >> (j * kABits) & 0x00010001u * ((1 << kABits) - 1);
    }
    return PackLowHalves(Value(raw, j), Value(raw, j + W::kHalfGroup));
  }

  static int32_t Value(const uint32_t* raw, int index) {
    const int position = index * kABits;
    return static_cast<int32_t>(raw[position / 32] << (32 - kABits - position % 32)) >>
           (32 - kABits);
  }

  // The bits of a shifted pair that belong to the half they are in.
  static constexpr uint32_t kShiftedHalves = 0x00010001u * (0x10000u - (1u << kShift));
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_WIDEN_H_
