// cortex_m/plain/channels.h - all output channels of one or two pixels whose columns are unpacked.
#ifndef TFLM_KERNELS_CORTEX_M_PLAIN_CHANNELS_H_
#define TFLM_KERNELS_CORTEX_M_PLAIN_CHANNELS_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/plain/dots.h"
#include "tflm_kernels/cortex_m/plain/fixed_point.h"
#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {
namespace plain {

struct Operands {
  const uint8_t* filter;
  int32_t filter_bytes;  // of an output channel
  ChannelTable table;
  const FeatureMap& output;
  Clamp clamp;
};

// kBits: 8, or 0 for any.
template <int kBits>
inline void Put(int32_t bits, int32_t channel, int32_t value, uint8_t* run) {
  if constexpr (kBits == 8) {
    run[channel] = static_cast<uint8_t>(value);
  } else {
    StoreValue(run, channel, bits, value);
  }
}

// Sums of one channel of kNumPixels pixels, whose values go to runs[pixel].
template <int kNumPixels, int kBits>
inline void PutChannel(const ChannelTable& table, const Rescaling& by, int32_t bits,
                       int32_t channel, const int32_t* sums, uint8_t* const* runs) {
  const int32_t bias = table.bias[channel];
  const FixedPoint factor = FactorOf(table, channel);
  if (factor.shift < 0) {
    const int32_t right = -1 - factor.shift;
    for (int32_t p = 0; p < kNumPixels; ++p) {
      const int32_t y = MultiplyShifted(WrappingAdd(bias, sums[p]), factor.multiplier, right);
      Put<kBits>(bits, channel, by.Clamped(y), runs[p]);
    }
  } else {
    for (int32_t p = 0; p < kNumPixels; ++p) {
      const int32_t y = MultiplyBy(WrappingAdd(bias, sums[p]), factor);
      Put<kBits>(bits, channel, by.Clamped(y), runs[p]);
    }
  }
}

template <int kNumPixels, int kBits>
void AllChannelsOf(const Operands& op, DotsFn* dots, const int16_t* columns, uint8_t* const* runs) {
  const int32_t channels = op.output.channels;
  const int32_t bits = op.output.bits;
  const Rescaling by = {op.output.zero_point, op.clamp};
  const ChannelTable table = op.table;  // copies, which no store can change
  uint8_t* to[kNumPixels];
  for (int32_t p = 0; p < kNumPixels; ++p) to[p] = runs[p];
  WeightRuns weights = {op.filter, op.filter, op.filter_bytes};
  for (int32_t o = 0; o < channels; o += 2) {
    const bool has_second = o + 1 < channels;
    weights.second = weights.first + (has_second ? op.filter_bytes : 0);
    int32_t sums[2 * kNumPixels];
    dots(columns, weights, sums);
    PutChannel<kNumPixels, kBits>(table, by, bits, o, sums, to);
    if (has_second) PutChannel<kNumPixels, kBits>(table, by, bits, o + 1, sums + kNumPixels, to);
    weights.first = weights.second + op.filter_bytes;
  }
}

// kNumPixels: 1 or 2. runs[pixel]: where its values go.
template <int kNumPixels>
void AllChannels(const Operands& op, DotsFn* dots, const int16_t* columns, uint8_t* const* runs) {
  if (op.output.bits == 8) return AllChannelsOf<kNumPixels, 8>(op, dots, columns, runs);
  AllChannelsOf<kNumPixels, 0>(op, dots, columns, runs);
}

}  // namespace plain
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_PLAIN_CHANNELS_H_
