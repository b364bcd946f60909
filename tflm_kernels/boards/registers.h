// boards/registers.h - access to memory-mapped registers.
#ifndef TFLM_KERNELS_BOARDS_REGISTERS_H_
#define TFLM_KERNELS_BOARDS_REGISTERS_H_

#include <stdint.h>

namespace quantmcu {

inline volatile uint32_t& Register(uint32_t address) {
  return *reinterpret_cast<volatile uint32_t*>(address);
}

// System control block, the same on every Cortex-M; the fault registers are missing on ARMv6-M.
constexpr uint32_t kConfigurationControl = 0xE000ED14;
constexpr uint32_t kConfigurableFaultStatus = 0xE000ED28;
constexpr uint32_t kMemoryFaultAddress = 0xE000ED34;
constexpr uint32_t kBusFaultAddress = 0xE000ED38;

constexpr uint32_t kTrapUnalignedAccesses = 1u << 3;  // of kConfigurationControl

}  // namespace quantmcu

#endif  // TFLM_KERNELS_BOARDS_REGISTERS_H_
