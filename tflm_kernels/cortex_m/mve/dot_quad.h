// cortex_m/mve/dot_quad.h - sums of products of four rows of weights, read where they stand, with one or two windows:
// what Conv2D for MVE spends its time in.
//
// A window is expanded to int8, 16 values a step, the two of a pair step by step in turn. VMLADAVA adds to even
// registers, of which two windows and four rows take all eight; the addresses and the count take the odd ones. So
// the functions are assembly, by the rules of procedure calls: no compiler has a register left then.
// Reads    16 bytes a step of a window; of the weights no byte behind a row.
#ifndef TFLM_KERNELS_CORTEX_M_MVE_DOT_QUAD_H_
#define TFLM_KERNELS_CORTEX_M_MVE_DOT_QUAD_H_

#include <arm_mve.h>
#include <stdint.h>

#include "tflm_kernels/cortex_m/mve/scratch.h"

namespace quantmcu {
namespace mve {

// Rows of int8 weights and what their sums begin with. The assembly knows its layout.
struct QuadRows {
  const int8_t* rows[kQuad];
  int32_t bias[kQuad];
};

// Steps of 16 values in front of the last one, and the values of the last one, 1 to 16.
struct RowSteps16 {
  int32_t blocks;
  int32_t rest;
};

inline RowSteps16 Steps16Of(int32_t length) {
  const int32_t blocks = (length - 1) / kLanes;
  return {blocks, length - blocks * kLanes};
}

// Returned in registers, unlike a struct.
using PairSums = int32x4x2_t;

// How the functions are called, whatever the compiler's own way.
#define QMCU_DOT_CALL [[gnu::naked, gnu::noinline]] __attribute__((pcs("aapcs-vfp")))

// `rest` and `blocks` are those of RowSteps16.
QMCU_DOT_CALL PairSums DotPair(const QuadRows* quad, int32_t rest, const int8_t* windows,
                               int32_t blocks);
QMCU_DOT_CALL int32x4_t DotOne(const QuadRows* quad, int32_t rest, const int8_t* window,
                               int32_t blocks);

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_DOT_QUAD_H_
