// cortex_m/dsp/depthwise_block.h - depthwise convolution takes output channels in blocks of four: what
// a block's weights and factors are, and how the sums of one output pixel become its values.
//
// What is gained: four results are clamped in one word and leave in one store.
// Source   written from docs/arithmetic.md A3 and docs/format.md F2.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_DEPTHWISE_BLOCK_H_
#define TFLM_KERNELS_CORTEX_M_DSP_DEPTHWISE_BLOCK_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/fixed_point.h"
#include "tflm_kernels/cortex_m/dsp/four_values.h"
#include "tflm_kernels/cortex_m/dsp/is_fast.h"
#include "tflm_kernels/portable/ops/depthwise_conv2d.h"

namespace quantmcu {
namespace dsp {

constexpr int32_t kLanes = 4;

struct Depthwise {
  const DepthwiseConv2DParams& params;
  const uint8_t* input;
  const uint8_t* filter;
  ChannelTable table;
  uint8_t* output;
};

// Up to four output channels; with a depth multiplier above 1 all read one input channel.
struct Block {
  [[gnu::always_inline]] Block(const Depthwise& conv, int32_t first_channel)
      : begin(first_channel),
        count(Count(conv.params, first_channel)),
        is_whole(count == kLanes && begin % kLanes == 0),
        weight_bits(conv.params.weight_bits),
        tap_bytes(RunBytes(conv.params.output.channels, weight_bits)),
        filter(conv.filter + (is_whole ? begin * weight_bits / 8 : 0)) {}

  static int32_t Count(const DepthwiseConv2DParams& params, int32_t begin) {
    const int32_t multiplier = params.depth_multiplier;
    const int32_t left =
        multiplier == 1 ? params.output.channels - begin : multiplier - begin % multiplier;
    return left < kLanes ? left : kLanes;
  }

  // Of a lane; behind the last channel that channel.
  int32_t Channel(int32_t lane) const { return begin + (lane < count ? lane : count - 1); }

  // A tap's as int8; behind the last channel anything.
  [[gnu::noinline]] uint32_t Weights(int32_t tap) const {
    const uint8_t* run = filter + tap * tap_bytes;
    return is_whole ? LoadFour(run, weight_bits) : WeightsOneByOne(run);
  }

  // Whether each tap's weights are one word.
  bool HasWords() const { return is_whole && weight_bits == 8; }

  // Of a block that has words.
  uint32_t WholeWeights(int32_t tap) const { return LoadWord(filter + tap * tap_bytes); }

  [[gnu::always_inline]] FourSums Bias(const Depthwise& conv) const {
    return {conv.table.bias[Channel(0)], conv.table.bias[Channel(1)], conv.table.bias[Channel(2)],
            conv.table.bias[Channel(3)]};
  }

  const int32_t begin;
  const int32_t count;
  const bool is_whole;  // and its runs start on a byte
  const int32_t weight_bits;
  const int32_t tap_bytes;
  const uint8_t* const filter;  // of a whole block its own weights

 private:
  [[gnu::cold, gnu::noinline]] uint32_t WeightsOneByOne(const uint8_t* run) const {
    uint32_t weights = 0;
    for (int32_t lane = 0; lane < kLanes; ++lane) {
      const int32_t weight = LoadValue(run, Channel(lane), weight_bits);
      weights |= static_cast<uint32_t>(static_cast<uint8_t>(weight)) << (8 * lane);
    }
    return weights;
  }
};

class BlockStore {
 public:
  [[gnu::always_inline]] BlockStore(const Depthwise& conv, const Block& block)
      : table_(conv.table), bits_(conv.params.output.bits), block_(block) {
    fast_.zero_point = conv.params.output.zero_point;
    fast_.clamp = MakeClampBytes(conv.params.clamp);
    bool is_fast = block.is_whole;
    for (int32_t lane = 0; lane < kLanes; ++lane) {
      const FixedPoint factor = Factor(lane);
      fast_.factors[lane] = MakeSmallFactor(factor);
      is_fast &= IsSmallFactor(factor);
    }
    fast_.bits = is_fast ? bits_ : 0;
  }

  // `pixel`: where the block's values stand; for a block that is not whole where the pixel does. kIsRegular: of calls that
  // are.
  template <bool kIsRegular>
  [[gnu::always_inline]] void Put(FourSums sums, uint8_t* pixel) const {
    const uint32_t* words = reinterpret_cast<const uint32_t*>(&fast_);
    uint32_t zero_point_word, bits_word, min, max;
    LoadTwo(words, &zero_point_word, &bits_word);
    const int32_t zero_point = static_cast<int32_t>(zero_point_word);
    const int32_t bits = kIsRegular ? 8 : static_cast<int32_t>(bits_word);
    if constexpr (!kIsRegular) {
      if (bits == 0) return PutAny(sums, pixel);
    }
    sums.s0 = MultiplyAdd(sums.s0, NextFactor(words), zero_point);
    sums.s1 = MultiplyAdd(sums.s1, NextFactor(words), zero_point);
    sums.s2 = MultiplyAdd(sums.s2, NextFactor(words), zero_point);
    sums.s3 = MultiplyAdd(sums.s3, NextFactor(words), zero_point);
    LoadTwo(words, &min, &max);
    StoreFour(pixel, bits, ClampedBytes(sums.s0, sums.s1, sums.s2, sums.s3, {min, max}));
  }

 private:
  static SmallFactor NextFactor(const uint32_t*& words) {
    uint32_t doubled_multiplier, minus_power;
    LoadTwo(words, &doubled_multiplier, &minus_power);
    return {static_cast<int32_t>(doubled_multiplier), static_cast<int32_t>(minus_power)};
  }

  FixedPoint Factor(int32_t lane) const { return FactorOf(table_, block_.Channel(lane)); }

  // With any factors, of a block that may not be whole.
  [[gnu::cold, gnu::noinline]] void PutAny(FourSums sums, uint8_t* pixel) const {
    int32_t y[kLanes] = {sums.s0, sums.s1, sums.s2, sums.s3};
    for (int32_t lane = 0; lane < kLanes; ++lane) {
      y[lane] = MultiplyAdd(y[lane], MakeAnyFactor(Factor(lane)), fast_.zero_point);
    }
    uint32_t values = ClampedBytes(y[0], y[1], y[2], y[3], fast_.clamp);
    const int32_t first = block_.is_whole ? 0 : block_.begin;
    for (int32_t lane = 0; lane < block_.count; ++lane, values >>= 8) {
      StoreValue(pixel, first + lane, bits_, static_cast<int32_t>(values));
    }
  }

  // In the order in which Put reads it; bits is 0 where PutAny is needed.
  struct Fast {
    int32_t zero_point;
    int32_t bits;
    SmallFactor factors[kLanes];
    ClampBytes clamp;
  };

  Fast fast_;
  const ChannelTable table_;
  const int32_t bits_;
  const Block& block_;
};

// `offset` bytes behind an address, which need not lie inside a map.
inline uint32_t AddressAt(uint32_t address, int32_t offset) {
  return address + static_cast<uint32_t>(offset);
}

inline uint32_t AddressOf(const void* pointer) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pointer));
}

// A rectangle of output pixels whose windows have the same taps inside.
struct Pixels {
  int32_t height;
  int32_t width;
  uint32_t first;  // address of the first window's first pixel, inside the map or not
  int32_t step;
  int32_t row_step;
  uint8_t* output;
  int32_t output_step;
  int32_t output_row_step;
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_DEPTHWISE_BLOCK_H_
