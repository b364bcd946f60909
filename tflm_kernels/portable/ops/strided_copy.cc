#include "tflm_kernels/portable/ops/strided_copy.h"

#include <stddef.h>
#include <string.h>

namespace quantmcu {
namespace reference {

void StridedCopy(const StridedCopyParams& params, const uint8_t* input, uint8_t* output) {
  constexpr int kLast = kNumDims - 1;
  const bool has_runs = params.input_steps.dim[kLast] == 1 && params.output_steps.dim[kLast] == 1;
  Dims extents = params.extents;
  const size_t run_bytes = has_runs ? static_cast<size_t>(extents.dim[kLast]) : 1;
  if (has_runs) extents.dim[kLast] = 1;
  ForEachOffset(extents, params.input_steps, params.output_steps,
                [&](int32_t from, int32_t to) { memcpy(output + to, input + from, run_bytes); });
}

void Fill(const FillParams& params, uint8_t* output) {
  memset(output, params.value, static_cast<size_t>(params.num_bytes));
}

}  // namespace reference
}  // namespace quantmcu
