// portable/ops/relations.h - which values of two tensors are equal, or less, either of them broadcast; choices by that,
// and truths as numbers.
//
// out[i] = in0[i] == in1[i], and its like, as a byte of 0 or 1              docs/arithmetic.md A34
// Scaled*  int8 of two formats: both sides are multiplied by their scales first, in 256ths, and rounded.
// Byte*    bytes as they are, Int32*, Float*  numbers; what compares with NaN is false, but for NotEqual.
// Select   where cond[i] is `wanted` out[i] = in[i]; the rest of the output stays: two calls make SELECT_V2.
// Cast     integers of another type: int8, a byte of 0 or 1 or int32 as int8, which wraps, int32 or float32.
// Layout   strided.h: steps of 0 broadcast an input; the output is dense.
// Memory   no allocation, no scratch; the output overlaps no input; the inputs may be the same.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_RELATIONS_H_
#define TFLM_KERNELS_PORTABLE_OPS_RELATIONS_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"
#include "tflm_kernels/portable/ops/comparisons.h"

namespace quantmcu {

struct ScaledComparisonParams {
  Dims extents;
  Dims input0_steps;
  Dims input1_steps;
  int32_t input0_zero_point;
  int32_t input1_zero_point;
  FixedPoint input0_multiplier;  // the scales, below 1
  FixedPoint input1_multiplier;
};

struct SelectParams {
  Dims extents;
  Dims condition_steps;
  Dims input_steps;
  int32_t wanted;
  int32_t value_bytes;
};

struct CastParams {
  int32_t count;
  int32_t input_bytes;
  int32_t output_bytes;
  int32_t is_output_float;
};

using ScaledRelationFn = void(const ScaledComparisonParams& params, const uint8_t* input0,
                              const uint8_t* input1, uint8_t* output);
using RelationFn = void(const ComparisonParams& params, const uint8_t* input0,
                        const uint8_t* input1, uint8_t* output);
using FloatRelationFn = void(const ComparisonParams& params, const float* input0,
                             const float* input1, uint8_t* output);
using SelectFn = void(const SelectParams& params, const uint8_t* condition, const uint8_t* input,
                      uint8_t* output);
using CastFn = void(const CastParams& params, const uint8_t* input, uint8_t* output);

namespace reference {
ScaledRelationFn ScaledEqual;
ScaledRelationFn ScaledNotEqual;
ScaledRelationFn ScaledLess;
ScaledRelationFn ScaledLessEqual;
RelationFn ByteEqual;
RelationFn ByteNotEqual;
RelationFn Int32Equal;
RelationFn Int32NotEqual;
RelationFn Int32Less;
RelationFn Int32LessEqual;
FloatRelationFn FloatEqual;
FloatRelationFn FloatNotEqual;
FloatRelationFn FloatLess;
FloatRelationFn FloatLessEqual;
SelectFn Select;
CastFn Cast;
}  // namespace reference

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_RELATIONS_H_
