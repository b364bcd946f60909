// boards/dual_timer.h - Arm's CMSDK dual timer as a clock of executed instructions.
//
// Under -icount shift=7 an instruction takes 128 ns, which is more than two ticks on the boards here:
// the count nearest to a number of ticks is the exact one. Timer 1 counts ticks modulo 2^32, timer 2
// every 256th, which tells how often timer 1 has wrapped: exact up to 2^40 ticks (3e11 instructions).
// Source   Arm DDI 0479, "Dual-input timers".
#ifndef TFLM_KERNELS_BOARDS_DUAL_TIMER_H_
#define TFLM_KERNELS_BOARDS_DUAL_TIMER_H_

#include <stdint.h>

#include "tflm_kernels/boards/registers.h"

namespace quantmcu {

template <uint32_t kAddress>
class DualTimer {
 public:
  static void Start() {
    Register(kTimer1 + kControl) = k32Bits;
    Register(kTimer2 + kControl) = k32Bits | kDivideBy256;
    Register(kTimer1 + kLoad) = ~kFirstTick;
    Register(kTimer2 + kLoad) = ~(kFirstTick >> 8);
    Register(kTimer2 + kControl) = k32Bits | kDivideBy256 | kEnable;
    Register(kTimer1 + kControl) = k32Bits | kEnable;
  }

  // Ticks since Start. Without branches, so that it always takes the same number of instructions.
  static uint64_t Ticks() {
    const uint32_t fine = ~Register(kTimer1 + kValue);
    const uint64_t coarse = uint64_t{~Register(kTimer2 + kValue)} << 8;
    // `coarse` is `fine` plus a multiple of 2^32, give or take less than 2^31.
    const uint64_t wraps = (coarse + (uint64_t{1} << 31) - fine) >> 32;
    return (wraps << 32) + fine - kFirstTick;
  }

 private:
  // Near the end of the range: timer 1 wraps so early (1e8 instructions) that calibration sees it.
  static constexpr uint32_t kFirstTick = UINT32_MAX << 28;
  static constexpr uint32_t kTimer1 = kAddress;
  static constexpr uint32_t kTimer2 = kAddress + 0x20;
  static constexpr uint32_t kLoad = 0x00;
  static constexpr uint32_t kValue = 0x04;  // counts down
  static constexpr uint32_t kControl = 0x08;
  static constexpr uint32_t kEnable = 1u << 7;
  static constexpr uint32_t kDivideBy256 = 2u << 2;
  static constexpr uint32_t k32Bits = 1u << 1;
};

}  // namespace quantmcu

#endif  // TFLM_KERNELS_BOARDS_DUAL_TIMER_H_
