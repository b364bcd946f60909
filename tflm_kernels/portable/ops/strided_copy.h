// portable/ops/strided_copy.h - copies bytes between two views: what PAD, CONCATENATION and TRANSPOSE do.
//
// out[i . output_steps] = in[i . input_steps] for every index i        docs/arithmetic.md A10
// Layout   strided.h; bytes of the output that no index reaches stay as they are.
// Memory   no allocation, no scratch; input and output do not overlap.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_STRIDED_COPY_H_
#define TFLM_KERNELS_PORTABLE_OPS_STRIDED_COPY_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/strided.h"

namespace quantmcu {

struct StridedCopyParams {
  Dims extents;
  Dims input_steps;
  Dims output_steps;
};

// What PAD does first.
struct FillParams {
  int32_t num_bytes;
  int32_t value;
};

using StridedCopyFn = void(const StridedCopyParams& params, const uint8_t* input, uint8_t* output);
using FillFn = void(const FillParams& params, uint8_t* output);

namespace reference {
StridedCopyFn StridedCopy;
FillFn Fill;
}  // namespace reference

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_STRIDED_COPY_H_
