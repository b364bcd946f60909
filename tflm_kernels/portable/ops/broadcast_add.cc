#include "tflm_kernels/portable/ops/broadcast_add.h"

namespace quantmcu {
namespace reference {
namespace {

constexpr int32_t kLeftShift = 20;

int32_t Rescaled(uint8_t value, int32_t zero_point, const FixedPoint& multiplier) {
  const int32_t x = static_cast<int8_t>(value) - zero_point;
  return Multiply(WrappingShiftLeft(x, kLeftShift), multiplier);
}

int32_t Sum(int32_t a, int32_t b) { return WrappingAdd(a, b); }
int32_t Difference(int32_t a, int32_t b) { return a - b; }  // both are below 2^29

template <int32_t (*kCombine)(int32_t, int32_t)>
void Combine(const BroadcastAddParams& params, const uint8_t* input0, const uint8_t* input1,
             uint8_t* output) {
  const AddMultipliers& multipliers = params.multipliers;
  ForEachOffset(params.extents, params.input0_steps, params.input1_steps,
                [&](int32_t offset0, int32_t offset1) {
                  const int32_t combined = kCombine(
                      Rescaled(input0[offset0], params.input0_zero_point, multipliers.input0),
                      Rescaled(input1[offset1], params.input1_zero_point, multipliers.input1));
                  const int32_t y = Requantized(combined, multipliers.output,
                                                params.output_zero_point, params.clamp);
                  *output++ = static_cast<uint8_t>(y);
                });
}

}  // namespace

void BroadcastAdd(const BroadcastAddParams& params, const uint8_t* input0, const uint8_t* input1,
                  uint8_t* output) {
  Combine<Sum>(params, input0, input1, output);
}

void BroadcastSub(const BroadcastAddParams& params, const uint8_t* input0, const uint8_t* input1,
                  uint8_t* output) {
  Combine<Difference>(params, input0, input1, output);
}

}  // namespace reference
}  // namespace quantmcu
