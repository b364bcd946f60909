// portable/ops/broadcast_add.h - elementwise sum or difference of two int8 tensors, either of them broadcast.
//
// As add.h at 8 bits, docs/arithmetic.md A4; BroadcastSub takes the second from the first.
// Layout   strided.h: steps of 0 broadcast an input; the output is dense.
// Memory   no allocation, no scratch; the output overlaps neither input; the inputs may be the same.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_BROADCAST_ADD_H_
#define TFLM_KERNELS_PORTABLE_OPS_BROADCAST_ADD_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/strided.h"
#include "tflm_kernels/portable/ops/add.h"

namespace quantmcu {

struct BroadcastAddParams {
  Dims extents;
  Dims input0_steps;
  Dims input1_steps;
  int32_t input0_zero_point;
  int32_t input1_zero_point;
  int32_t output_zero_point;
  Clamp clamp;
  AddMultipliers multipliers;
};

using BroadcastAddFn = void(const BroadcastAddParams& params, const uint8_t* input0,
                            const uint8_t* input1, uint8_t* output);

namespace reference {
BroadcastAddFn BroadcastAdd;
BroadcastAddFn BroadcastSub;
}  // namespace reference

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_BROADCAST_ADD_H_
