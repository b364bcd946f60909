// cortex_m/dsp/byte_dots.h - sums of products of 8-bit weights with widened activations (widen.h), of many
// output channels.
//
// What is gained: they are assembly, in which loads stand together. Neighbours pipeline: a word that is
// loaded alone takes 2 cycles, n words take n + 1. A compiler parts them, and lacks registers for what
// they load. Where nothing is clamped sums become bytes of the output before they leave their registers. A step is four weights of a channel. Two channels times two pixels take 15 instructions
// and 20 cycles for 16 products; four pixels times a channel take 13 and 22, which pays where filters
// are short, as each channel's factor then serves four results.
// Timings  Cortex-M4 Technical Reference Manual (DDI 0439), without what a turn of the loop takes.
// Source   written from docs/arithmetic.md A3.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_BYTE_DOTS_H_
#define TFLM_KERNELS_CORTEX_M_DSP_BYTE_DOTS_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {
namespace dsp {

// What the assembly reads, in its order.
struct ByteDots {
  // Of results, in place of sums; the assembly moves `bias` and `results` on.
  const int32_t* bias_end;
  const int32_t* bias;       // of the first channel
  int32_t shift_bytes;       // from its bias to its shift
  int32_t multiplier_bytes;  // from its bias to its multiplier
  int32_t zero_point;        // of the output
  uint8_t* results[4];       // of each pixel, where its first channel stands
  // Of both.
  const uint8_t* filter;  // of the first channel
  int32_t filter_bytes;   // from channel to channel
  int32_t surplus;        // bytes of whole words beyond that
  const uint32_t*
      columns;  // words of the pixels side by side; 0 where only surplus bytes meet them
  const uint32_t* columns_end;
  int32_t skipped;  // steps of the first turn
  int32_t* sums;
  int32_t* sums_end;
};

// Whether ByteDots can make results: 8 bits that nothing clamps, with factors below 1/2.
bool HasPlainResults(const FeatureMap& output, const Clamp& clamp, const ChannelTable& table);

// Of num_channels, how many have all the words that are read of them inside the filters: words of the last
// ones, of filters of a byte of the last three, reach behind.
inline int32_t NumInside(const ByteDots& dots, int32_t num_channels) {
  const int32_t num_outside = dots.surplus < dots.filter_bytes
                                  ? (dots.surplus > 0 ? 1 : 0)
                                  : (dots.surplus + dots.filter_bytes - 1) / dots.filter_bytes;
  return num_channels > num_outside ? num_channels - num_outside : 0;
}

// Steps of a turn of the loops below.
constexpr int32_t kTurn = 8;
constexpr int32_t kFourByOneTurn = 3;
constexpr int32_t kMakeTwoByTwoTurn = 12;

// Whole words of weights are read, so up to 3 bytes behind the last channel's.
ByteDots MakeByteDots(const uint8_t* filter, int32_t filter_bytes, const uint32_t* columns,
                      int32_t num_pixels, int32_t turn);

// Each writes sums until sums_end, of as many channels as that takes.
void SumTwoByTwo(ByteDots& dots);   // channel 0 with both pixels, channel 1, the next two channels
void SumOneByFour(ByteDots& dots);  // a channel with four pixels, the next one
void SumFourByOne(ByteDots& dots);  // a pixel with four channels, the next four

// Each writes results until bias_end.
void MakeTwoByTwo(ByteDots& dots);   // two channels of two pixels, the next two; no surplus
void MakeOneByFour(ByteDots& dots);  // a channel of four pixels, the next one

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_BYTE_DOTS_H_
