// cortex_m/kernels.h - quantmcu::kernels: of each op the variant for the core that is compiled for.
//
// The one place where that is chosen. On the host it is the reference. An op without a fast variant is not named here: call its reference.
#ifndef TFLM_KERNELS_CORTEX_M_KERNELS_H_
#define TFLM_KERNELS_CORTEX_M_KERNELS_H_

#if defined(__ARM_FEATURE_MVE)
#include "tflm_kernels/cortex_m/mve/kernels.h"
#elif defined(__ARM_FEATURE_DSP)
#include "tflm_kernels/cortex_m/dsp/kernels.h"
#elif defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#include "tflm_kernels/cortex_m/plain/kernels.h"
#else
#include "tflm_kernels/portable/ops/fully_connected.h"
#include "tflm_kernels/portable/ops/kernels.h"
#include "tflm_kernels/portable/ops/widths.h"
#endif

namespace quantmcu {

#if defined(__ARM_FEATURE_MVE)
namespace kernels = mve;
#elif defined(__ARM_FEATURE_DSP)
namespace kernels = dsp;
#elif defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
namespace kernels = plain;
#else
namespace kernels = reference;
#endif

}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_KERNELS_H_
