// micro/fast_ops/fast_op.h - what TFLite's own ops on our kernels share (fast_ops.h): maps of plain int8 tensors, and TFLM's
// registration with our Prepare and Eval around its own.
#ifndef TFLM_KERNELS_MICRO_FAST_OPS_FAST_OP_H_
#define TFLM_KERNELS_MICRO_FAST_OPS_FAST_OP_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/micro/fast_ops/tflms.h"
#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/tflm.h"
#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"
#include "tflm_kernels/portable/law/limits.h"

// Where ours beat TFLM's, and what TFLM keeps for its own is what its reference kernels keep.
// QUANTMCU_FAST_OPS_EVERYWHERE is for TFLM's Python interpreter, which records the scratch that a core's ask for.
#if ((defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M') || \
     defined(QUANTMCU_FAST_OPS_EVERYWHERE)) &&                     \
    !defined(CMSIS_NN) && !defined(XTENSA) && !defined(HEXAGON) && !defined(USE_TFLM_COMPRESSION)
#define QUANTMCU_HAS_FAST_OPS 1
#else
#define QUANTMCU_HAS_FAST_OPS 0
#endif

namespace quantmcu {

// TFLM's registration of an op, with these in place of its Prepare and its Eval.
inline TFLMRegistration Replaced(TFLMRegistration registration,
                                 TfLiteStatus (*prepare)(TfLiteContext*, TfLiteNode*),
                                 TfLiteStatus (*eval)(TfLiteContext*, TfLiteNode*)) {
  if (!QUANTMCU_HAS_FAST_OPS) return registration;
  if (prepare != nullptr) registration.prepare = prepare;
  registration.invoke = eval;
  return registration;
}

inline bool IsInt8Map(const TfLiteEvalTensor& tensor) {
  if (tensor.type != kTfLiteInt8 || tensor.dims->size != 4 || tensor.dims->data[0] != 1)
    return false;
  return InRange(tensor.dims->data[1], 1, kMaxExtent) &&
         InRange(tensor.dims->data[2], 1, kMaxExtent) &&
         InRange(tensor.dims->data[3], 1, kMaxChannels);
}

// Of a tensor that IsInt8Map.
inline FeatureMap Int8Map(const TfLiteEvalTensor& tensor, int32_t zero_point) {
  const int* dims = tensor.dims->data;
  return {dims[1], dims[2], dims[3], dims[2] * dims[3], 8, zero_point};
}

// Values in a row.
inline FeatureMap Int8Run(int32_t count, int32_t zero_point) {
  return {1, 1, count, count, 8, zero_point};
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_FAST_OPS_FAST_OP_H_
