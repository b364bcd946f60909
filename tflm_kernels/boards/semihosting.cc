// boards/semihosting.cc - text and exit code through Arm semihosting, which QEMU answers.
//
// Source   Arm "Semihosting for AArch32 and AArch64": operation in r0, argument in r1, BKPT 0xAB.
#include <stdint.h>

#include "tflm_kernels/boards/board.h"

namespace quantmcu {
namespace {

constexpr uint32_t kWrite0 = 0x04;
constexpr uint32_t kExitExtended = 0x20;
constexpr uint32_t kApplicationExit = 0x20026;

void Call(uint32_t operation, const void* argument) {
  register uint32_t r0 asm("r0") = operation;
  register const void* r1 asm("r1") = argument;
  asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
}

}  // namespace

void BoardWrite(const char* text) { Call(kWrite0, text); }

void BoardExit(int code) {
  const uint32_t block[] = {kApplicationExit, static_cast<uint32_t>(code)};
  for (;;) Call(kExitExtended, block);
}

}  // namespace quantmcu
