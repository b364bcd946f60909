// portable/ops/svdf.h - a fully connected layer whose every filter is followed by weights over its last results.
//
// state[b,f,:] <- state[b,f,1:], clamp(multiply(sum over i of feature[f,i] * (in[b,i] - in_zero), feature)) + state_zero
// out[b,u] = clamp(multiply(bias[u] + sum over the unit's filters f and m of
//            time[f,m] * (state[b,f,m] - state_zero), multiplier) + out_zero)     docs/arithmetic.md A37
// Layout   input [batches, depth], feature [filters, depth], time [filters, memory], state [batches, filters, memory],
//          output [batches, filters / rank]; a unit has `rank` filters, one behind the other. Time and state have
//          values of `state_bytes`, at a multiple of it.
// State    is read and written: it is what one inference leaves for the next.
// Memory   no allocation, no scratch; the output overlaps nothing else.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_SVDF_H_
#define TFLM_KERNELS_PORTABLE_OPS_SVDF_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct SvdfParams {
  int32_t batches;
  int32_t depth;
  int32_t filters;
  int32_t rank;
  int32_t memory;
  int32_t state_bytes;  // 1 or 2
  int32_t input_zero_point;
  int32_t state_zero_point;
  int32_t output_zero_point;
  FixedPoint feature_multiplier;
  FixedPoint multiplier;
};

using SvdfFn = void(const SvdfParams& params, const uint8_t* input, uint8_t* state,
                    const uint8_t* feature, const uint8_t* time, const int32_t* bias,
                    uint8_t* output);

namespace reference {
SvdfFn Svdf;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_SVDF_H_
