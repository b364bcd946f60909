// Both forms of Multiply in fixed_point_mve.h give law A1, on values around every rounding and sign
// change, at every shift.
#include <stdint.h>

#include "tests/cortex_m/random_values.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/cortex_m/mve/fixed_point.h"

namespace quantmcu {
namespace {

bool IsRight(int32_t x, const FixedPoint& factor) {
  const int32_t expected = Multiply(x, factor);
  const int32x4_t lanes = vdupq_n_s32(x);
  return vgetq_lane_s32(mve::Multiply(lanes, mve::Lanes(factor)), 1) == expected &&
         vgetq_lane_s32(mve::Multiply(lanes, mve::Uniform(factor)), 2) == expected;
}

uint64_t CountFailures(uint32_t seed) {
  RandomValues random(seed);
  const int32_t multipliers[] = {0,         1,
                                 3,         (1 << 30) - 1,
                                 1 << 30,   (1 << 30) + 1,
                                 INT32_MAX, random.Uniform(1 << 30, INT32_MAX)};
  uint64_t failures = 0;
  for (int32_t shift = kMinShift; shift <= kMaxShift; ++shift) {
    for (int32_t multiplier : multipliers) {
      for (int32_t i = 0; i < 128; ++i) {
        const uint32_t power = i < 64 ? 1u << (i / 2) : 3u << (i / 4);
        const uint32_t magnitude = i % 2 == 0 ? power : 0u - power;
        const int32_t x =
            static_cast<int32_t>(magnitude + static_cast<uint32_t>(random.Uniform(-2, 2)));
        if (!IsRight(x, {multiplier, shift})) ++failures;
      }
    }
  }
  return failures;
}

}  // namespace
}  // namespace quantmcu

int main() {
  uint64_t failures = 0;
  for (uint32_t seed = 1; seed <= 30; ++seed) failures += quantmcu::CountFailures(seed);
  quantmcu::ReportCount("FAILURES", failures);
  return failures == 0 ? 0 : 1;
}
