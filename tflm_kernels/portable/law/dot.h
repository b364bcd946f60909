// portable/law/dot.h - sums of products over packed runs. Runs are unpacked to int8 in blocks, then
// multiplied in one plain loop whatever the widths: only here do kernels meet the bits of weights.
//
// Range    a run of at most 65793 values, so that the sum of its products fits int32.
// Memory   2 * kBlock bytes of stack.
// Source   written from docs/arithmetic.md A3.
#ifndef TFLM_KERNELS_PORTABLE_LAW_DOT_H_
#define TFLM_KERNELS_PORTABLE_LAW_DOT_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"
#include "tflm_kernels/portable/law/packed.h"

namespace quantmcu {

constexpr int32_t kBlock = 64;  // values; a block of any width starts on a byte

template <int kBits>
void UnpackBytes(const uint8_t* bytes, int32_t num_bytes, int8_t* values) {
  constexpr int kPerByte = 8 / kBits;
  for (int32_t i = 0; i < num_bytes; ++i) {
    for (int k = 0; k < kPerByte; ++k) {
      values[i * kPerByte + k] = static_cast<int8_t>(LoadValue(bytes + i, k, kBits));
    }
  }
}

// The values [begin, begin + count) of a run as int8: the run's own bytes at 8 bits, else unpacked
// into `block`. begin is a multiple of 4; count <= kBlock unless bits is 8.
inline const int8_t* Unpack(const uint8_t* run, int32_t begin, int32_t count, int32_t bits,
                            int8_t* block) {
  const uint8_t* first = run + begin * bits / 8;
  if (bits == 8) return reinterpret_cast<const int8_t*>(first);
  if (bits == 4) {
    UnpackBytes<4>(first, RunBytes(count, 4), block);
  } else {
    UnpackBytes<2>(first, RunBytes(count, 2), block);
  }
  return block;
}

// sum((x[i] - zero_point) * w[i]) over two runs of `count` values.
inline int32_t Dot(const uint8_t* x_run, int32_t x_bits, int32_t zero_point, const uint8_t* w_run,
                   int32_t w_bits, int32_t count) {
  int8_t x_block[kBlock];
  int8_t w_block[kBlock];
  const int32_t step = x_bits == 8 && w_bits == 8 ? count : kBlock;
  int32_t sum = 0;  // of products of 9 and 8 bits: |sum| <= 65793 * 255 * 128 < 2^31
  for (int32_t begin = 0; begin < count; begin += step) {
    const int32_t length = count - begin < step ? count - begin : step;
    const int8_t* x = Unpack(x_run, begin, length, x_bits, x_block);
    const int8_t* w = Unpack(w_run, begin, length, w_bits, w_block);
    for (int32_t i = 0; i < length; ++i) {
      sum += static_cast<int16_t>(x[i] - zero_point) * static_cast<int16_t>(w[i]);
    }
  }
  return sum;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_LAW_DOT_H_
