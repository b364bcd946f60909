// What main may rely on: initialised data, zeroed data, constructed objects, the FPU, external
// memory, and an exit code that arrives.
#include <stdint.h>

#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/report.h"

namespace quantmcu {
namespace {

constexpr uint32_t kArenaWords = 1 << 20;
constexpr int kExitCode = 42;

volatile uint32_t initialised = 12345;
volatile uint32_t zeroed;
volatile float factor = 1.5f;

struct Constructed {
  Constructed() : value(initialised + 1) {}
  volatile uint32_t value;
} constructed;

BOARD_ARENA uint32_t arena[kArenaWords];

bool ArenaKeeps() {
  for (uint32_t i = 0; i < kArenaWords; ++i) arena[i] = i * 2654435761u;
  asm volatile("" ::: "memory");
  for (uint32_t i = 0; i < kArenaWords; ++i) {
    if (arena[i] != i * 2654435761u) return false;
  }
  return true;
}

bool Check(const char* name, bool is_met) {
  ReportCount(name, is_met);
  return is_met;
}

}  // namespace
}  // namespace quantmcu

int main() {
  using namespace quantmcu;
  const bool is_data = Check("DATA", initialised == 12345);
  const bool is_bss = Check("BSS", zeroed == 0);
  const bool is_constructed = Check("CONSTRUCTOR", constructed.value == 12346);
  const bool is_float = Check("FLOAT", factor * factor == 2.25f);
  const bool is_arena = Check("ARENA", ArenaKeeps());
  return is_data && is_bss && is_constructed && is_float && is_arena ? kExitCode : 1;
}
