// cortex_m/dsp/gather.h - bytes of a window's rows, one behind the other.
//
// What is gained: whole words, which need not stand on a multiple of 4, where a compiler would call memcpy.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_GATHER_H_
#define TFLM_KERNELS_CORTEX_M_DSP_GATHER_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/simd.h"

namespace quantmcu {
namespace dsp {

// Copies rows of `count` bytes, at least four, and reads none beyond: the last word of each may overlap the one before.
[[gnu::noinline]] inline void CopyRows(const uint8_t* row, int32_t row_step, int32_t num_rows,
                                       int32_t count, uint8_t* to) {
  for (; num_rows > 0; --num_rows, row += row_step) {
    const uint8_t* from = row;
    uint8_t* const last = to + count - 4;
    StoreWord(last, LoadWord(row + count - 4));
    for (; to < last; to += 4) StoreWord(to, NextWord(from));
    to = last + 4;
  }
}

// Copies at least one byte.
inline void CopyBytes(const uint8_t* from, int32_t count, uint8_t* to) {
  if (count >= 4) return CopyRows(from, 0, 1, count, to);
  for (; count > 0; --count) *to++ = *from++;
}

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_GATHER_H_
