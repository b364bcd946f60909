// portable/law/channel_table.h - what a convolution or fully connected layer adds to and multiplies with, a
// value an output channel.
//
// Layout   bias, multiplier, shift int32 [O] each; in files one tensor of 3 * O words in that order
//          (docs/format.md F3).
// Range    FindBadChannel (limits.h).
// Source   written from docs/arithmetic.md A3.
#ifndef TFLM_KERNELS_PORTABLE_LAW_CHANNEL_TABLE_H_
#define TFLM_KERNELS_PORTABLE_LAW_CHANNEL_TABLE_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct ChannelTable {
  const int32_t* bias;
  const int32_t* multiplier;
  const int32_t* shift;
};

inline ChannelTable ChannelTableOf(const int32_t* words, int32_t num_channels) {
  return {words, words + num_channels, words + 2 * num_channels};
}

inline FixedPoint FactorOf(const ChannelTable& table, int32_t channel) {
  return {table.multiplier[channel], table.shift[channel]};
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_LAW_CHANNEL_TABLE_H_
