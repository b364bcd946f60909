#include "tflm_kernels/portable/ops/add.h"

#include "tflm_kernels/portable/ops/sums.h"

namespace quantmcu {
namespace reference {

void Add(const AddParams& params, const uint8_t* input0, const uint8_t* input1, uint8_t* output) {
  CombineMaps<WrappingAdd>(params, input0, input1, output);
}

}  // namespace reference
}  // namespace quantmcu
