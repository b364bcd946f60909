// micro/fast_ops/tflms.h - what TFLM's kernels keep of a node, and their registrations: by TFLM's headers, or where
// its Python interpreter registered them.
#ifndef TFLM_KERNELS_MICRO_FAST_OPS_TFLMS_H_
#define TFLM_KERNELS_MICRO_FAST_OPS_TFLMS_H_

#include "tflm_kernels/micro/tflm.h"

#ifdef QUANTMCU_USE_TFLM_HEADERS

#include "tensorflow/lite/micro/kernels/add.h"
#include "tensorflow/lite/micro/kernels/conv.h"
#include "tensorflow/lite/micro/kernels/depthwise_conv.h"
#include "tensorflow/lite/micro/kernels/fully_connected.h"
#include "tensorflow/lite/micro/kernels/pooling.h"

#else

#include "third_party/tflm_abi/kernels.h"

using tflm_abi::TfLiteConvParams;
using tflm_abi::TfLiteDepthwiseConvParams;
using tflm_abi::TfLitePoolParams;

namespace quantmcu {
namespace tflm {
using namespace tflm_abi;  // NOLINT(build/namespaces)

// Those that the interpreter's resolver had before ours (python/fast_ops.cc).
TFLMRegistration Register_ADD();
TFLMRegistration Register_AVERAGE_POOL_2D();
TFLMRegistration Register_CONV_2D();
TFLMRegistration Register_DEPTHWISE_CONV_2D();
TFLMRegistration Register_FULLY_CONNECTED();
TFLMRegistration Register_MAX_POOL_2D();
}  // namespace tflm
}  // namespace quantmcu

#endif  // QUANTMCU_USE_TFLM_HEADERS

#endif  // TFLM_KERNELS_MICRO_FAST_OPS_TFLMS_H_
