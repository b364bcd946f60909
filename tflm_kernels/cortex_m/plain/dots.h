// cortex_m/plain/dots.h - sums of products of one or two pixels' columns (columns.h) with the weights of two output
// channels.
//
// What is gained: a value and a weight are loaded once for two products each. On the M0+ the sums stand in high
// registers and one index serves both channels: 15 instructions for four products of 8-bit weights; on the M3 eight. Of
// one pixel two products take 8.75 and 5.5.
#ifndef TFLM_KERNELS_CORTEX_M_PLAIN_DOTS_H_
#define TFLM_KERNELS_CORTEX_M_PLAIN_DOTS_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {
namespace plain {

// Weights of two channels, `num_bytes` each.
struct WeightRuns {
  const uint8_t* first;
  const uint8_t* second;
  int32_t num_bytes;
};

// sums: pixel 0 and 1 with the first channel, then with the second.
using DotsFn = void(const int16_t* columns, const WeightRuns& weights, int32_t* sums);

// 8-bit weights: two pixels, one alone, and the first of two columns, each with two channels.
DotsFn DotBytesOfTwo;
DotsFn DotBytesOfOne;
DotsFn DotBytesOfFirst;

template <int kBits, int kIndex>
inline int32_t Field(uint32_t byte) {
  return static_cast<int32_t>(byte << (32 - kBits * (kIndex + 1))) >> (32 - kBits);
}

template <int kBits, int kIndex>
inline void AddFields(uint32_t first, uint32_t second, const int16_t* columns, int32_t* sums) {
  if constexpr (kIndex < 8 / kBits) {
    const int32_t w0 = Field<kBits, kIndex>(first);
    const int32_t w1 = Field<kBits, kIndex>(second);
    const int32_t x0 = columns[2 * kIndex];
    const int32_t x1 = columns[2 * kIndex + 1];
    sums[0] += x0 * w0;
    sums[1] += x1 * w0;
    sums[2] += x0 * w1;
    sums[3] += x1 * w1;
    AddFields<kBits, kIndex + 1>(first, second, columns, sums);
  }
}

// Two pixels, weights of kBits.
template <int kBits>
[[gnu::noinline]] void DotFieldsOfTwo(const int16_t* columns, const WeightRuns& weights,
                                      int32_t* sums) {
  int32_t s[4] = {0, 0, 0, 0};
  const uint8_t* second = weights.second;
  const uint8_t* const end = weights.first + weights.num_bytes;
  for (const uint8_t* first = weights.first; first != end; ++first, ++second) {
    AddFields<kBits, 0>(*first, *second, columns, s);
    columns += 2 * 8 / kBits;
  }
  for (int32_t i = 0; i < 4; ++i) sums[i] = s[i];
}

// One pixel, whose values stand kStride apart.
template <int kBits, int kStride>
[[gnu::noinline]] void DotOfOne(const int16_t* column, const WeightRuns& weights, int32_t* sums) {
  int32_t s0 = 0;
  int32_t s1 = 0;
  const uint8_t* second = weights.second;
  const uint8_t* const end = weights.first + weights.num_bytes;
  for (const uint8_t* first = weights.first; first != end; ++first, ++second) {
    const uint32_t w0 = *first;
    const uint32_t w1 = *second;
    const auto add = [&](int32_t x, int32_t a, int32_t b) {
      s0 += x * a;
      s1 += x * b;
    };
    if constexpr (kBits == 8) {
      add(column[0], static_cast<int8_t>(w0), static_cast<int8_t>(w1));
    } else {
      add(column[0], Field<kBits, 0>(w0), Field<kBits, 0>(w1));
      add(column[kStride], Field<kBits, 1>(w0), Field<kBits, 1>(w1));
    }
    if constexpr (kBits == 2) {
      add(column[2 * kStride], Field<kBits, 2>(w0), Field<kBits, 2>(w1));
      add(column[3 * kStride], Field<kBits, 3>(w0), Field<kBits, 3>(w1));
    }
    column += kStride * 8 / kBits;
  }
  sums[0] = s0;
  sums[1] = s1;
}

// The best of them.
template <int kBits, int kStride>
constexpr DotsFn* DotsOfOne() {
  if constexpr (kBits == 8) {
    return kStride == 1 ? DotBytesOfOne : DotBytesOfFirst;
  } else {
    return DotOfOne<kBits, kStride>;
  }
}

}  // namespace plain
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_PLAIN_DOTS_H_
