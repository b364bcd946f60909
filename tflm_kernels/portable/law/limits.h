// portable/law/limits.h - which numbers the kernels accept; who takes numbers from outside checks them.
//
// The bounds keep every coordinate, byte offset and accumulator of the kernels inside int32.
// Source   written from docs/arithmetic.md and docs/format.md.
#ifndef TFLM_KERNELS_PORTABLE_LAW_LIMITS_H_
#define TFLM_KERNELS_PORTABLE_LAW_LIMITS_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

constexpr int32_t kMaxExtent =
    32767;  // heights, widths, kernels, strides, dilations and |pads|: they fit int16
constexpr int32_t kMaxChannels = 1 << 24;
constexpr int32_t kMaxPoolTaps = 1 << 23;  // 2^23 taps of 8 bits sum to less than 2^31
constexpr int32_t kMaxBytes = INT32_MAX;
constexpr int32_t kMaxFilterLayout = 0;  // docs/format.md F2
constexpr int32_t kMinShift = -31;
constexpr int32_t kMaxShift = 30;

inline bool IsBitWidth(int32_t bits) { return bits == 8 || bits == 4 || bits == 2; }
inline int32_t QMin(int32_t bits) { return -(1 << (bits - 1)); }
inline int32_t QMax(int32_t bits) { return (1 << (bits - 1)) - 1; }

inline bool InRange(int32_t value, int32_t min, int32_t max) {
  return min <= value && value <= max;
}

inline bool FitsBits(int32_t value, int32_t bits) { return InRange(value, QMin(bits), QMax(bits)); }

inline bool ClampFits(const Clamp& clamp, int32_t bits) {
  return QMin(bits) <= clamp.min && clamp.min <= clamp.max && clamp.max <= QMax(bits);
}

inline int32_t NumLutEntries(int32_t input_bits) { return 1 << input_bits; }

inline bool FixedPointFits(const FixedPoint& factor) {
  return factor.multiplier >= 0 && InRange(factor.shift, kMinShift, kMaxShift);
}

// The product of two counts, or kMaxBytes + 1 if it is larger: chains of it cannot overflow.
inline int64_t SaturatingProduct(int64_t a, int64_t b) {
  return b > 0 && a > kMaxBytes / b ? int64_t{kMaxBytes} + 1 : a * b;
}

// True if every output element of a pool reads at least one tap inside the input (A5 and A6 say
// nothing of others).
bool PoolWindowFits(const Window& window, int32_t input_height, int32_t input_width,
                    int32_t output_height, int32_t output_width);

// The first output channel whose table entry is out of range, or -1 if there is none: multiplier >=
// 0, shift in range, and the accumulator of `num_products` products stays in int32 whatever the
// values are.
int32_t FindBadChannel(const ChannelTable& table, int32_t num_channels, int64_t num_products,
                       int32_t input_bits, int32_t weight_bits);

// The first of a lut's entries (lut.h) outside of [clamp.min, clamp.max], or -1 if there is none.
int32_t FindBadEntry(const uint8_t* table, int32_t num_entries, const Clamp& clamp);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_LAW_LIMITS_H_
