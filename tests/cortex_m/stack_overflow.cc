// Recursion far beyond the stack: must end in a fault, not in overwritten data.
#include <stdint.h>

#include "tflm_kernels/boards/report.h"

namespace {

[[gnu::noipa]] uint32_t Recurse(uint32_t depth) {
  volatile uint32_t frame[64] = {depth};
  return depth == 0 ? 0 : Recurse(depth - 1) + frame[0];
}

}  // namespace

int main() {
  quantmcu::ReportCount("SUM", Recurse(1000000));
  return 0;
}
