// boards/guard.h - bytes that nobody may touch: who reads or writes one ends the program.
//
// On a Cortex-M its memory protection unit faults, which fault.cc reports; on the host a page of no access does.
#ifndef TFLM_KERNELS_BOARDS_GUARD_H_
#define TFLM_KERNELS_BOARDS_GUARD_H_

#include <stdint.h>

namespace quantmcu {

// A page of most hosts, and the least region of an ARMv6-M.
#if defined(__linux__) || defined(__APPLE__)
constexpr uint32_t kGuardBytes = 4096;
#else
constexpr uint32_t kGuardBytes = 256;
#endif
constexpr int kMaxGuards = 4;

// Guards [begin, begin + kGuardBytes), with or without memory there; `begin` is a multiple of kGuardBytes. Returns
// false where nothing guards: the core has no unit, or the host has larger pages.
bool BoardGuard(int number, const uint8_t* begin);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_BOARDS_GUARD_H_
