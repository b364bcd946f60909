// portable/ops/difference.h - elementwise difference of two packed 8/4/2-bit feature maps, batch 1.
//
// a_j = multiply((in_j - zero_j) * 2^20, multiplier_j)                     docs/arithmetic.md A24
// out = clamp(multiply(a_0 - a_1, output_multiplier) + out_zero)
// All else as of add.h.
#ifndef TFLM_KERNELS_PORTABLE_OPS_DIFFERENCE_H_
#define TFLM_KERNELS_PORTABLE_OPS_DIFFERENCE_H_

#include "tflm_kernels/portable/ops/add.h"

namespace quantmcu {
namespace reference {
AddFn Difference;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_DIFFERENCE_H_
