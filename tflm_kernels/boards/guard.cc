// boards/guard.cc - guards by the memory protection unit.
//
// What no region covers stays as it is without the unit, for privileged code, which all of an image is. The unit rests
// in a HardFault, so a fault can be reported whatever is guarded.
// Source   Arm DDI 0419 and DDI 0403 (ARMv6-M, ARMv7-M), DDI 0553 (ARMv8-M): "Memory Protection Unit".
#include "tflm_kernels/boards/guard.h"

#include "tflm_kernels/boards/registers.h"

namespace quantmcu {
namespace {

constexpr uint32_t kType = 0xE000ED90;
constexpr uint32_t kControl = 0xE000ED94;
constexpr uint32_t kNumber = 0xE000ED98;
constexpr uint32_t kBase = 0xE000ED9C;
constexpr uint32_t kAttributes = 0xE000EDA0;  // ARMv8-M: and limit

constexpr uint32_t kEnable = 1u << 0;            // of kControl and kAttributes
constexpr uint32_t kDefaultElsewhere = 1u << 2;  // of kControl

void SetRegion(uint32_t number, uint32_t base, uint32_t attributes) {
  Register(kNumber) = number;
  Register(kBase) = base;
  Register(kAttributes) = attributes;
}

#if __ARM_ARCH >= 8
// No access is what two regions for one address mean: privileged code may read in any single one.
constexpr uint32_t kRegionsAGuard = 2;

void Close(uint32_t number, uint32_t base) {
  constexpr uint32_t kNoExecution = 1u << 0;  // of kBase
  const uint32_t limit = (base + kGuardBytes - 1) & ~31u;
  for (uint32_t i = 0; i < kRegionsAGuard; ++i) {
    SetRegion(number * kRegionsAGuard + i, base | kNoExecution, limit | kEnable);
  }
}
#else
constexpr uint32_t kRegionsAGuard = 1;

void Close(uint32_t number, uint32_t base) {
  constexpr uint32_t kNoExecution = 1u << 28;
  constexpr uint32_t kSize = 7u << 1;  // 2^(7 + 1) bytes; no bit of access is set
  static_assert(kGuardBytes == 1u << (7 + 1));
  SetRegion(number, base, kNoExecution | kSize | kEnable);
}
#endif

}  // namespace

bool BoardGuard(int number, const uint8_t* begin) {
  const uint32_t num_regions = Register(kType) >> 8 & 0xFF;
  if (num_regions < kRegionsAGuard * kMaxGuards) return false;
  asm volatile("dmb" ::: "memory");
  Close(static_cast<uint32_t>(number), reinterpret_cast<uintptr_t>(begin));
  Register(kControl) = kEnable | kDefaultElsewhere;
  asm volatile("dsb \n isb" ::: "memory");
  return true;
}

}  // namespace quantmcu
