// cortex_m/dsp/four_values.h - four neighbours of a packed run as the four int8 of a word.
//
// What is gained: unpacking and packing take 6 to 8 instructions for four values of 4 or 2 bits,
// LoadValue and StoreValue about 10 a value.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_FOUR_VALUES_H_
#define TFLM_KERNELS_CORTEX_M_DSP_FOUR_VALUES_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/simd.h"
#include "tflm_kernels/portable/law/packed.h"

namespace quantmcu {
namespace dsp {

inline int32_t FourValuesBytes(int32_t bits) { return bits >> 1; }

// The word's bytes are v0, v1, v2, v3.
inline uint32_t LoadFour(const uint8_t* run, int32_t bits) {
  if (bits == 8) return LoadWord(run);
  if (bits == 4) {
    uint32_t fields = LoadHalf(run);
    fields = (fields | fields << 8) & 0x00FF00FFu;
    fields = (fields | fields << 4) & 0x0F0F0F0Fu;
    return Ssub8(fields ^ 0x08080808u, 0x08080808u);
  }
  uint32_t fields = run[0];
  fields = (fields | fields << 12) & 0x000F000Fu;
  fields = (fields | fields << 6) & 0x03030303u;
  return Ssub8(fields ^ 0x02020202u, 0x02020202u);
}

inline void StoreFour(uint8_t* run, int32_t bits, uint32_t values) {
  if (bits == 8) {
    StoreWord(run, values);
  } else if (bits == 4) {
    uint32_t fields = values & 0x0F0F0F0Fu;
    fields |= fields >> 4;
    StoreHalf(run, (fields & 0xFFu) | (fields >> 8 & 0xFF00u));
  } else {
    uint32_t fields = values & 0x03030303u;
    fields |= fields >> 6;
    run[0] = static_cast<uint8_t>((fields & 0xFu) | (fields >> 12 & 0xF0u));
  }
}

// The last 1 to 3 values of a run; the rest of the word is arbitrary.
inline uint32_t LoadLast(const uint8_t* run, int32_t bits, int32_t count) {
  uint8_t padded[4] = {};
  memcpy(padded, run, static_cast<size_t>(RunBytes(count, bits)));
  return LoadFour(padded, bits);
}

inline void StoreLast(uint8_t* run, int32_t bits, int32_t count, uint32_t values) {
  uint8_t padded[4];
  StoreFour(padded, bits, values & ((1u << (8 * count)) - 1));
  memcpy(run, padded, static_cast<size_t>(RunBytes(count, bits)));
}

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_FOUR_VALUES_H_
