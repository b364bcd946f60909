#include "tflm_kernels/portable/law/crc32.h"

namespace quantmcu {
namespace {

constexpr uint32_t kPolynomial = 0xEDB88320;  // bits reversed

}  // namespace

uint32_t Crc32(const void* bytes, uint32_t num_bytes, uint32_t crc) {
  const uint8_t* byte = static_cast<const uint8_t*>(bytes);
  crc = ~crc;
  for (uint32_t i = 0; i < num_bytes; ++i) {
    crc ^= byte[i];
    for (int k = 0; k < 8; ++k) crc = (crc >> 1) ^ (kPolynomial & (0 - (crc & 1)));
  }
  return ~crc;
}

}  // namespace quantmcu
