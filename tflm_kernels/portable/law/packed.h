// portable/law/packed.h - runs of signed values of 8, 4 or 2 bits: the channels of a pixel or a tap.
//
// Layout   low bits first; a run starts on a byte; unused high bits of its last byte are 0:
//          1, -2, 3 is 01 FE 03 at 8 bits and E1 03 at 4 bits; 1, -2, -1, 0, 1 is 39 01 at 2 bits
//          (docs/format.md F2).
// Range    values in [-2^(bits-1), 2^(bits-1) - 1]; StoreValue drops higher bits.
// Source   written from docs/format.md.
#ifndef TFLM_KERNELS_PORTABLE_LAW_PACKED_H_
#define TFLM_KERNELS_PORTABLE_LAW_PACKED_H_

#include <stdint.h>

namespace quantmcu {

inline int32_t RunBytes(int32_t num_values, int32_t bits) { return (num_values * bits + 7) / 8; }

inline int32_t LoadValue(const uint8_t* run, int32_t index, int32_t bits) {
  const int32_t position = index * bits;
  const int32_t high_bits = 32 - bits - (position & 7);
  const uint32_t aligned = static_cast<uint32_t>(run[position >> 3]) << high_bits;
  return static_cast<int32_t>(aligned) >> (32 - bits);
}

// Values of a run are stored in ascending order: the first one of a byte assigns it, which leaves
// unused bits 0.
inline void StoreValue(uint8_t* run, int32_t index, int32_t bits, int32_t value) {
  const int32_t position = index * bits;
  const int32_t offset = position & 7;
  const uint32_t field = (static_cast<uint32_t>(value) & ((1u << bits) - 1)) << offset;
  const uint32_t below = offset == 0 ? 0 : run[position >> 3];
  run[position >> 3] = static_cast<uint8_t>(below | field);
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_LAW_PACKED_H_
