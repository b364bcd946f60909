// portable/ops/float_values.h - functions of one float32 value and of two.
//
// What stock TFLM computes in float32 between DEQUANTIZE and QUANTIZE, bit by bit; roots are rounded to the nearest, on
// cores without a unit for floating point too.               docs/arithmetic.md A33
// Layout   dense; of two values strided.h: steps of 0 broadcast an input.
// Memory   no allocation, no scratch; of functions of one value the output may be the input.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_FLOAT_VALUES_H_
#define TFLM_KERNELS_PORTABLE_OPS_FLOAT_VALUES_H_

#include <stdint.h>

#include "tflm_kernels/portable/ops/comparisons.h"

namespace quantmcu {

struct FloatValuesParams {
  int32_t count;
};

struct FloatSlopeParams {
  int32_t count;
  float slope;
};

struct FloatPairsParams {
  Dims extents;
  Dims input0_steps;
  Dims input1_steps;
  float min;  // of the activation; without one all finite numbers
  float max;
};

using FloatValuesFn = void(const FloatValuesParams& params, const float* input, float* output);
using FloatSlopeFn = void(const FloatSlopeParams& params, const float* input, float* output);
using FloatExtremeFn = void(const ComparisonParams& params, const float* input0,
                            const float* input1, float* output);
using FloatPairsFn = void(const FloatPairsParams& params, const float* input0, const float* input1,
                          float* output);

namespace reference {
FloatValuesFn FloatAbs;
FloatValuesFn FloatCeil;
FloatValuesFn FloatFloor;
FloatValuesFn FloatHardSwish;
FloatValuesFn FloatNeg;
FloatValuesFn FloatRelu;
FloatValuesFn FloatRelu6;
FloatValuesFn FloatRound;
FloatValuesFn FloatRsqrt;
FloatValuesFn FloatSqrt;
FloatValuesFn FloatSquare;
FloatSlopeFn FloatLeakyRelu;
FloatExtremeFn FloatMaximum;
FloatExtremeFn FloatMinimum;
FloatExtremeFn FloatPrelu;
FloatExtremeFn FloatSquaredDifference;
FloatPairsFn FloatAdd;
FloatPairsFn FloatSub;
FloatPairsFn FloatMul;
FloatPairsFn FloatDiv;
}  // namespace reference

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_FLOAT_VALUES_H_
