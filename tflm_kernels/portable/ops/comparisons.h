// portable/ops/comparisons.h - the smaller or larger of int8 values: of two tensors, or over any dimensions of one.
//
// Minimum, Maximum      out[i] = min or max(in0[i], in1[i])               docs/arithmetic.md A24
// ReduceMin, ReduceMax  out[k] = min or max over r of in[k, r]
// ArgMin, ArgMax        out[k] = the first r with that value, int32
// Layout   strided.h: steps of 0 broadcast an input; `kept` and `reduced` extents with the input's steps; the output is
//          dense.
// Memory   no allocation, no scratch; the output overlaps no input; the inputs may be the same.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_COMPARISONS_H_
#define TFLM_KERNELS_PORTABLE_OPS_COMPARISONS_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/strided.h"

namespace quantmcu {

struct ComparisonParams {
  Dims extents;
  Dims input0_steps;
  Dims input1_steps;
};

struct ReductionParams {
  Dims kept;
  Dims kept_steps;
  Dims reduced;
  Dims reduced_steps;
};

using ComparisonFn = void(const ComparisonParams& params, const uint8_t* input0,
                          const uint8_t* input1, uint8_t* output);
using ReductionFn = void(const ReductionParams& params, const uint8_t* input, uint8_t* output);

namespace reference {
ComparisonFn Minimum;
ComparisonFn Maximum;
ReductionFn ReduceMin;
ReductionFn ReduceMax;
ReductionFn ArgMin;
ReductionFn ArgMax;
}  // namespace reference

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_COMPARISONS_H_
