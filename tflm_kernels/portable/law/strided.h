// portable/law/strided.h - up to four nested loops over values that lie at regular distances.
//
// A view of a tensor is a step a dimension, in values: the value with index i stands at the sum of
// i[d] * step[d]. Step 0 repeats a value (broadcasting), permuted steps transpose.
// Layout   fewer dimensions: leading extents of 1.
// Source   written from docs/arithmetic.md A10.
#ifndef TFLM_KERNELS_PORTABLE_LAW_STRIDED_H_
#define TFLM_KERNELS_PORTABLE_LAW_STRIDED_H_

#include <stdint.h>

namespace quantmcu {

constexpr int kNumDims = 4;

struct Dims {
  int32_t dim[kNumDims];
};

// Calls visit(a_offset, b_offset) for every index below `extents`, the last dimension fastest.
template <typename Visit>
void ForEachOffset(const Dims& extents, const Dims& a_steps, const Dims& b_steps, Visit visit) {
  const int32_t *n = extents.dim, *a = a_steps.dim, *b = b_steps.dim;
  for (int32_t i0 = 0, a0 = 0, b0 = 0; i0 < n[0]; ++i0, a0 += a[0], b0 += b[0]) {
    for (int32_t i1 = 0, a1 = a0, b1 = b0; i1 < n[1]; ++i1, a1 += a[1], b1 += b[1]) {
      for (int32_t i2 = 0, a2 = a1, b2 = b1; i2 < n[2]; ++i2, a2 += a[2], b2 += b[2]) {
        for (int32_t i3 = 0, a3 = a2, b3 = b2; i3 < n[3]; ++i3, a3 += a[3], b3 += b[3]) {
          visit(a3, b3);
        }
      }
    }
  }
}

// Writes function(a, b) of each pair of values of two views, densely. Params: extents, input0_steps, input1_steps.
template <typename Params, typename Value, typename Result, typename Function>
void OfPairs(const Params& params, const Value* a, const Value* b, Result* output,
             Function function) {
  ForEachOffset(params.extents, params.input0_steps, params.input1_steps,
                [&](int32_t i, int32_t j) { *output++ = function(a[i], b[j]); });
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_LAW_STRIDED_H_
