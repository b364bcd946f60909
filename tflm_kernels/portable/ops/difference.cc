#include "tflm_kernels/portable/ops/difference.h"

#include "tflm_kernels/portable/ops/sums.h"

namespace quantmcu {
namespace reference {
namespace {

int32_t WrappingSubtract(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b));
}

}  // namespace

void Difference(const AddParams& params, const uint8_t* input0, const uint8_t* input1,
                uint8_t* output) {
  CombineMaps<WrappingSubtract>(params, input0, input1, output);
}

}  // namespace reference
}  // namespace quantmcu
