// cortex_m/dsp/store_blocks.h - requantises the sums of a block of two or four output pixels, and stores four
// channels of a pixel at a time.
//
// What is gained: a channel's factor is loaded once for all pixels; four results of a pixel are clamped in
// one word and leave in one store. There are two loops, so that each has its operands in registers.
// Layout   sums in fours: of a channel with four pixels, or of two channels with two pixels each. In place of
//          the first of four comes a word of four results, in the order of the sums.
// Source   written from docs/arithmetic.md A3 and docs/format.md F2.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_STORE_BLOCKS_H_
#define TFLM_KERNELS_CORTEX_M_DSP_STORE_BLOCKS_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/fixed_point.h"
#include "tflm_kernels/cortex_m/dsp/four_values.h"
#include "tflm_kernels/cortex_m/dsp/simd.h"
#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {
namespace dsp {

// Four results, saturated to int8, value i in byte i.
inline uint32_t SaturatedBytes(int32_t y0, int32_t y1, int32_t y2, int32_t y3) {
  uint32_t bytes = static_cast<uint32_t>(__ssat(y0, 8));
  bytes = WithByte<1>(bytes, __ssat(y1, 8));
  bytes = WithByte<2>(bytes, __ssat(y2, 8));
  return WithByte<3>(bytes, __ssat(y3, 8));
}

// From one channel on.
struct ChannelCursor {
  const int32_t* bias;
  const int32_t* multiplier;
  const int32_t* shift;
};

inline ChannelCursor CursorAt(const ChannelTable& table, int32_t channel) {
  return {table.bias + channel, table.multiplier + channel, table.shift + channel};
}

// Two sums with any factor, as bytes 0 and 2.
[[gnu::noinline]] inline uint32_t AnyTwo(const int32_t* sums, int32_t bias, FixedPoint factor,
                                         int32_t zero_point) {
  const AnyFactor any = MakeAnyFactor(factor);
  return SaturatedBytes(MultiplyAdd(WrappingAdd(sums[0], bias), any, zero_point), 0,
                        MultiplyAdd(WrappingAdd(sums[1], bias), any, zero_point), 0);
}

// Two sums, as bytes 0 and 2.
[[gnu::always_inline]] inline uint32_t RequantizedTwo(const int32_t* sums, ChannelCursor& at,
                                                      int32_t zero_point) {
  const int32_t bias = *at.bias++;
  const int32_t multiplier = *at.multiplier++;
  const int32_t shift = *at.shift++;
  const SmallFactor small = MakeSmallFactor({multiplier, shift});
  // Negative if small, see IsSmallFactor.
  if ((small.doubled_multiplier & shift) >= 0) {
    return AnyTwo(sums, bias, {multiplier, shift}, zero_point);
  }
  const int32_t y0 = MultiplyAdd(WrappingAdd(sums[0], bias), small, zero_point);
  const int32_t y1 = MultiplyAdd(WrappingAdd(sums[1], bias), small, zero_point);
  return PackLowHalves(static_cast<uint32_t>(__ssat(y0, 8)), static_cast<uint32_t>(__ssat(y1, 8)));
}

[[gnu::noinline]] inline void RequantizeTwoByTwo(const ChannelTable& table, int32_t channel,
                                                 int32_t zero_point, int32_t* sums,
                                                 const int32_t* sums_end) {
  ChannelCursor at = CursorAt(table, channel);
  for (; sums != sums_end; sums += 4) {
    const uint32_t channel0 = RequantizedTwo(sums, at, zero_point) & 0x00FF00FFu;
    const uint32_t channel1 = RequantizedTwo(sums + 2, at, zero_point) & 0x00FF00FFu;
    *sums = static_cast<int32_t>(channel0 | channel1 << 8);
  }
}

[[gnu::noinline]] inline void RequantizeOneByFour(const ChannelTable& table, int32_t channel,
                                                  int32_t zero_point, int32_t* sums,
                                                  const int32_t* sums_end) {
  ChannelCursor at = CursorAt(table, channel);
  for (; sums != sums_end; sums += 4) {
    const int32_t bias = *at.bias++;
    const int32_t multiplier = *at.multiplier++;
    const int32_t shift = *at.shift++;
    const SmallFactor small = MakeSmallFactor({multiplier, shift});
    uint32_t bytes;
    if ((small.doubled_multiplier & shift) < 0) {
      bytes = SaturatedBytes(MultiplyAdd(WrappingAdd(sums[0], bias), small, zero_point),
                             MultiplyAdd(WrappingAdd(sums[1], bias), small, zero_point),
                             MultiplyAdd(WrappingAdd(sums[2], bias), small, zero_point),
                             MultiplyAdd(WrappingAdd(sums[3], bias), small, zero_point));
    } else {
      const uint32_t low = AnyTwo(sums, bias, {multiplier, shift}, zero_point);
      const uint32_t high = AnyTwo(sums + 2, bias, {multiplier, shift}, zero_point);
      bytes = (low & 0xFFu) | (low >> 8 & 0xFF00u) | (high & 0xFFu) << 16 | (high & 0xFF0000u) << 8;
    }
    *sums = static_cast<int32_t>(bytes);
  }
}

// Clamps the words of results. Most clamps are those of int8, which results keep as it is.
[[gnu::noinline]] inline void ClampWords(const Clamp& clamp, int32_t* sums,
                                         const int32_t* sums_end) {
  if (clamp.min == -128 && clamp.max == 127) return;
  const ClampBytes bytes = MakeClampBytes(clamp);
  for (; sums != sums_end; sums += 4) {
    const auto word = static_cast<uint32_t>(*sums);
    *sums = static_cast<int32_t>(SmallerBytes(LargerBytes(word, bytes.min), bytes.max));
  }
}

// `count` channels, at most four, of the pixel whose values stand at `run`.
[[gnu::noinline]] inline void PutSome(uint8_t* run, int32_t bits, int32_t count, uint32_t values) {
  if (count >= 4) return StoreFour(run, bits, values);
  StoreLast(run, bits, count, values);
}

// What two channels make of two words of results: those of pixels 0 and 2, or with a shift of 8 of 1 and 3.
inline uint32_t PairOfPixels(int32_t a, int32_t b, int32_t shift) {
  constexpr uint32_t kMask = 0x00FF00FFu;
  return (static_cast<uint32_t>(a) >> shift & kMask) | (static_cast<uint32_t>(b) >> shift & kMask)
                                                           << 8;
}

inline uint32_t Word(int32_t sum) { return static_cast<uint32_t>(sum); }

// Stores the results of `count` channels from `channel` on, a multiple of four. Words that are read beyond
// them are of no effect.
[[gnu::noinline]] inline void StoreTwoByTwo(int32_t bits, int32_t channel, int32_t count,
                                            const int32_t* sums, uint8_t* const* runs) {
  const int32_t offset = channel * bits / 8;
  uint8_t* first = runs[0] + offset;
  uint8_t* second = runs[1] + offset;
  if (bits == 8) {
    for (; count >= 4; count -= 4, sums += 8, first += 4, second += 4) {
      StoreWord(first, PackLowHalves(Word(sums[0]), Word(sums[4])));
      StoreWord(second, PackHighHalves(Word(sums[0]), Word(sums[4])));
    }
  }
  for (; count > 0; count -= 4, sums += 8) {
    PutSome(first, bits, count, PackLowHalves(Word(sums[0]), Word(sums[4])));
    PutSome(second, bits, count, PackHighHalves(Word(sums[0]), Word(sums[4])));
    first += FourValuesBytes(bits);
    second += FourValuesBytes(bits);
  }
}

// The same of two of four pixels: those of PairOfPixels.
[[gnu::noinline]] inline void StoreOneByFour(int32_t shift, int32_t bits, int32_t channel,
                                             int32_t count, const int32_t* sums, uint8_t* first,
                                             uint8_t* second) {
  const int32_t offset = channel * bits / 8;
  first += offset;
  second += offset;
  if (bits == 8) {
    for (; count >= 4; count -= 4, sums += 16, first += 4, second += 4) {
      const uint32_t low = PairOfPixels(sums[0], sums[4], shift);
      const uint32_t high = PairOfPixels(sums[8], sums[12], shift);
      StoreWord(first, PackLowHalves(low, high));
      StoreWord(second, PackHighHalves(low, high));
    }
  }
  for (; count > 0; count -= 4, sums += 16) {
    const uint32_t low = PairOfPixels(sums[0], sums[4], shift);
    const uint32_t high = PairOfPixels(sums[8], sums[12], shift);
    PutSome(first, bits, count, PackLowHalves(low, high));
    PutSome(second, bits, count, PackHighHalves(low, high));
    first += FourValuesBytes(bits);
    second += FourValuesBytes(bits);
  }
}

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_STORE_BLOCKS_H_
