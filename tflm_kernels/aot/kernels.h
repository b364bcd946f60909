// aot/kernels.h - what emitted code includes (docs/emit.md): all kernels, and which of them are the
// core's.
#ifndef TFLM_KERNELS_AOT_KERNELS_H_
#define TFLM_KERNELS_AOT_KERNELS_H_

#include <stddef.h>

#include "tflm_kernels/aot/invoke_c.h"
#include "tflm_kernels/aot/steps.h"
#include "tflm_kernels/cortex_m/among.h"
#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/portable/ops/broadcast_add.h"
#include "tflm_kernels/portable/ops/broadcast_prelu.h"
#include "tflm_kernels/portable/ops/comparisons.h"
#include "tflm_kernels/portable/ops/float_reductions.h"
#include "tflm_kernels/portable/ops/float_values.h"
#include "tflm_kernels/portable/ops/fully_connected.h"
#include "tflm_kernels/portable/ops/grouped_conv2d.h"
#include "tflm_kernels/portable/ops/hard_swish.h"
#include "tflm_kernels/portable/ops/kernels.h"
#include "tflm_kernels/portable/ops/l2_normalization.h"
#include "tflm_kernels/portable/ops/log_softmax.h"
#include "tflm_kernels/portable/ops/logistic.h"
#include "tflm_kernels/portable/ops/lstm.h"
#include "tflm_kernels/portable/ops/matmul.h"
#include "tflm_kernels/portable/ops/mean.h"
#include "tflm_kernels/portable/ops/mul.h"
#include "tflm_kernels/portable/ops/quantize.h"
#include "tflm_kernels/portable/ops/relations.h"
#include "tflm_kernels/portable/ops/resize_bilinear.h"
#include "tflm_kernels/portable/ops/softmax.h"
#include "tflm_kernels/portable/ops/squared_difference.h"
#include "tflm_kernels/portable/ops/strided_copy.h"
#include "tflm_kernels/portable/ops/svdf.h"
#include "tflm_kernels/portable/ops/transpose_conv2d.h"
#include "tflm_kernels/portable/stage/run.h"

namespace quantmcu {
namespace aot {

// What quantmcu::kernels is on this core, as cortex_m/kernels.h chooses it.
enum Variant { kReference, kPlain, kDsp, kMve };

#if defined(__ARM_FEATURE_MVE)
constexpr Variant kVariant = kMve;
#elif defined(__ARM_FEATURE_DSP)
constexpr Variant kVariant = kDsp;
#elif defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
constexpr Variant kVariant = kPlain;
#else
constexpr Variant kVariant = kReference;
#endif

// True if a kernel takes the scratch that the plan has for it; the reference may take less.
constexpr bool IsPlanned(size_t needed_bytes, size_t planned_bytes) {
  return needed_bytes == planned_bytes || (kVariant == kReference && needed_bytes < planned_bytes);
}

}  // namespace aot
}  // namespace quantmcu

#endif  // TFLM_KERNELS_AOT_KERNELS_H_
