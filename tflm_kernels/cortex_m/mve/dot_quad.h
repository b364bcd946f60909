// cortex_m/mve/dot_quad.h - sums of products of four rows of weights, read where they stand, with one window or several:
// what Conv2D for MVE spends its time in. Weights below 8 bits are taken out of their bytes on the way, and then meet
// four windows, two rows at a time: 32 values take 60 instructions, where 8-bit weights, four rows at a time, take 56.
//
// A window is expanded to int8, 16 values a step, those of neighbours step by step in turn. VMLADAVA adds to even
// registers, of which two windows and four rows take all eight; the addresses and the count take the odd ones. So
// the functions are assembly, by the rules of procedure calls: no compiler has a register left then.
// Reads    16 bytes a step of a window; of the weights no byte behind a row, and unused bits as 0 (docs/format.md F2).
#ifndef TFLM_KERNELS_CORTEX_M_MVE_DOT_QUAD_H_
#define TFLM_KERNELS_CORTEX_M_MVE_DOT_QUAD_H_

#include <arm_mve.h>
#include <stdint.h>

#include "tflm_kernels/cortex_m/mve/scratch.h"

namespace quantmcu {
namespace mve {

// Rows of weights and what their sums begin with. The assembly knows its layout.
struct QuadRows {
  const int8_t* rows[kQuad];
  int32_t bias[kQuad];
};

// Steps of 16 bytes of weights in front of the last one, and the bytes of the last one, 1 to 16.
struct RowSteps16 {
  int32_t blocks;
  int32_t rest;
};

inline RowSteps16 Steps16Of(int32_t num_bytes) {
  const int32_t blocks = (num_bytes - 1) / kLanes;
  return {blocks, num_bytes - blocks * kLanes};
}

// Returned in registers, unlike a struct.
using PairSums = int32x4x2_t;
using FourSums = int32x4x4_t;

// How the functions are called, whatever the compiler's own way.
#define QMCU_DOT_CALL __attribute__((pcs("aapcs-vfp")))

// `rest` and `blocks` are those of RowSteps16.
typedef PairSums QMCU_DOT_CALL DotPairFn(const QuadRows* quad, int32_t rest, const int8_t* windows,
                                         int32_t blocks);
typedef FourSums QMCU_DOT_CALL DotFourFn(const QuadRows* quad, int32_t rest, const int8_t* windows,
                                         int32_t blocks);
typedef int32x4_t QMCU_DOT_CALL DotOneFn(const QuadRows* quad, int32_t rest, const int8_t* window,
                                         int32_t blocks);

// By the width of weights; of 8 bits a pair's are the most.
struct QuadDots {
  DotFourFn* four;
  DotPairFn* pair;
  DotOneFn* one;
};

const QuadDots& DotsOf(int32_t weight_bits);

QMCU_DOT_CALL PairSums DotPair8(const QuadRows* quad, int32_t rest, const int8_t* windows,
                                int32_t blocks);
QMCU_DOT_CALL PairSums DotPair4(const QuadRows* quad, int32_t rest, const int8_t* windows,
                                int32_t blocks);
QMCU_DOT_CALL PairSums DotPair2(const QuadRows* quad, int32_t rest, const int8_t* windows,
                                int32_t blocks);
QMCU_DOT_CALL int32x4_t DotOne8(const QuadRows* quad, int32_t rest, const int8_t* window,
                                int32_t blocks);

// The same of a second window, or of one, all of whose values are `zero`; the latter without a bias.
QMCU_DOT_CALL PairSums DotWithZeros8(const QuadRows* quad, int32_t rest, const int8_t* window,
                                     int32_t blocks, int8x16_t zero);
QMCU_DOT_CALL int32x4_t DotZeros8(const QuadRows* quad, int32_t rest, int32_t blocks,
                                  int8x16_t zero);

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_DOT_QUAD_H_
