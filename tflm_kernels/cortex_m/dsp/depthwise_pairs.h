// cortex_m/dsp/depthwise_pairs.h - depthwise convolution of any window: two taps are interleaved, so that
// each SMLAD multiplies both for one channel, 12 instructions for 8 products besides the loads of
// weights.
//
// Values   below 8 bits are not sign-extended: what makes them positive (AddedToValues) is in the bias.
// Source   written from docs/arithmetic.md A3 and docs/format.md F2.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_DEPTHWISE_PAIRS_H_
#define TFLM_KERNELS_CORTEX_M_DSP_DEPTHWISE_PAIRS_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/depthwise_block.h"
#include "tflm_kernels/cortex_m/dsp/simd.h"

namespace quantmcu {
namespace dsp {

// Two taps of a block.
struct TapPair {
  uint32_t offsets[2];       // bytes from the window's first pixel
  uint32_t weights[kLanes];  // as int16 each
};

// The taps of a block that lie inside the map.
struct Taps {
  FourSums bias;  // less zero point * sum of weights
  TapPair pairs[(kMaxTaps + 1) / 2];
  int32_t count;
};

// What LoadPair adds to each value, so that it is not negative.
inline int32_t AddedToValues(int32_t bits) { return bits == 8 ? 0 : 1 << (bits - 1); }

// The four int8 of a and of b as int16, those of one lane side by side.
inline void PairLanes(uint32_t a, uint32_t b, uint32_t* lanes) {
  const uint32_t low = PackLowHalves(a, b);
  const uint32_t high = PackHighHalves(a, b);
  lanes[0] = Sxtb16(low);
  lanes[1] = Sxtb16Ror8(low);
  lanes[2] = Sxtb16(high);
  lanes[3] = Sxtb16Ror8(high);
}

// The values of two taps, each plus AddedToValues, as int16 in the two halves of lanes[channel].
template <int kBits>
inline void LoadPair(const uint8_t* a, const uint8_t* b, uint32_t low_fields, uint32_t* lanes) {
  if (kBits == 8) return PairLanes(LoadWord(a), LoadWord(b), lanes);
  uint32_t fields =
      kBits == 4 ? LoadHalf(a) | LoadHalf(b) << 16 : uint32_t{a[0]} | uint32_t{b[0]} << 16;
  fields ^= kBits == 4 ? 0x88888888u : 0xAAAAAAAAu;
  for (int32_t i = 0; i < kLanes; ++i) lanes[i] = fields >> (i * kBits) & low_fields;
}

// The same of one input channel, `first_bit` of its byte on, for all lanes.
template <int kBits>
inline void LoadSharedPair(const uint8_t* a, const uint8_t* b, uint32_t low_fields,
                           int32_t first_bit, uint32_t* lanes) {
  uint32_t fields = uint32_t{a[0]} | uint32_t{b[0]} << 16;
  fields = kBits == 8   ? Sxtb16(fields)
           : kBits == 4 ? (fields ^ 0x00880088u) >> first_bit & low_fields
                        : (fields ^ 0x00AA00AAu) >> first_bit & low_fields;
  for (int32_t i = 0; i < kLanes; ++i) lanes[i] = fields;
}

// Adds the products of one tap of four int8; its weights are the low halves of four words.
inline void AddTap(const uint8_t* tap, const uint32_t* weights, FourSums& sums) {
  const uint32_t word = LoadWord(tap);
  const uint32_t even = Sxtb16(word);
  const uint32_t odd = Sxtb16Ror8(word);
  sums.s0 = Smlabb(even, weights[0], sums.s0);
  sums.s1 = Smlabb(odd, weights[1], sums.s1);
  sums.s2 = Smlatb(even, weights[2], sums.s2);
  sums.s3 = Smlatb(odd, weights[3], sums.s3);
}

// A loop without its counter.
template <int kTimes, typename Do>
[[gnu::always_inline]] inline void Repeat(Do& action) {
  action();
  if constexpr (kTimes > 1) Repeat<kTimes - 1>(action);
}

// kTaps: taps.count, or 0 for any. kIsShared: the lanes read one input channel, from `first_bit` on. kIsRegular: of calls
// that are.
template <int kBits, int kTaps, bool kIsShared, bool kIsRegular = false>
[[gnu::noinline]] void OutputPixels(const BlockStore& store, const Taps& taps, const Pixels& pixels,
                                    int32_t first_bit) {
  constexpr bool kHasSingle = kBits == 8 && kTaps % 2 != 0;
  constexpr int kNumPairs = (kTaps + !kHasSingle) / 2;
  const uint32_t low_fields = InRegister(0x00010001u * ((1 << kBits) - 1));
  const int32_t step = pixels.step;
  const int32_t output_step = pixels.output_step;
  for (int32_t y = 0; y < pixels.height; ++y) {
    uint32_t first = AddressAt(pixels.first, y * pixels.row_step);
    uint8_t* output = pixels.output + y * pixels.output_row_step;
    for (int32_t n = pixels.width; n > 0; --n) {
      const uint32_t* words = reinterpret_cast<const uint32_t*>(&taps.bias);
      FourSums sums = LoadSums(words);
      const auto add_pair = [&]() __attribute__((always_inline)) {
        uint32_t a, b;
        uint32_t lanes[kLanes];
        LoadTwo(words, &a, &b);
        const auto* a_bytes = reinterpret_cast<const uint8_t*>(first + a);
        const auto* b_bytes = reinterpret_cast<const uint8_t*>(first + b);
        if constexpr (kIsShared) {
          LoadSharedPair<kBits>(a_bytes, b_bytes, low_fields, first_bit, lanes);
        } else {
          LoadPair<kBits>(a_bytes, b_bytes, low_fields, lanes);
        }
        AddFourProducts(lanes, words, sums);
      };
      if constexpr (kTaps > 0) {
        Repeat<kNumPairs>(add_pair);
      } else {
        for (int32_t left = (taps.count + 1) / 2; left > 0; --left) add_pair();
      }
      if (kHasSingle) {
        AddTap(reinterpret_cast<const uint8_t*>(first + words[0]), words + 2, sums);
      }
      store.Put<kIsRegular>(sums, output);
      first = AddressAt(first, step);
      output += output_step;
    }
  }
}

using OutputPixelsFn = void(const BlockStore& store, const Taps& taps, const Pixels& pixels,
                            int32_t first_bit);

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_DEPTHWISE_PAIRS_H_
