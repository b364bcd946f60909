// portable/law/crc32.h - CRC-32 of IEEE 802.3, the one of zlib: Crc32 of "123456789" is 0xCBF43926.
#ifndef TFLM_KERNELS_PORTABLE_LAW_CRC32_H_
#define TFLM_KERNELS_PORTABLE_LAW_CRC32_H_

#include <stdint.h>

namespace quantmcu {

// Of `num_bytes` bytes that follow what `crc` is the CRC of; 0 is the CRC of nothing.
uint32_t Crc32(const void* bytes, uint32_t num_bytes, uint32_t crc = 0);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_LAW_CRC32_H_
