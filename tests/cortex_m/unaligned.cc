// A word read from an odd address: an unaligned access, which every core but an ARMv6-M one allows.
#include <stdint.h>

#include "tflm_kernels/boards/report.h"

int main() {
  alignas(4) const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8};
  uint32_t word;
  asm volatile("ldr %0, [%1]" : "=l"(word) : "l"(bytes + 1), "m"(bytes));
  quantmcu::ReportHex("WORD", word);
  return word == 0x05040302 ? 0 : 1;
}
