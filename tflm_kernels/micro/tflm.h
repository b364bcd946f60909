// micro/tflm.h - TFLM's C structs: its own headers with QUANTMCU_USE_TFLM_HEADERS, else ours.
//
// With its headers, quantmcu::tflm has TFLM's C++ names, whether they stand in tflite, as until October 2026
// and in vendors' copies, or in tflite::micro.
#ifndef TFLM_KERNELS_MICRO_TFLM_H_
#define TFLM_KERNELS_MICRO_TFLM_H_

#ifdef QUANTMCU_USE_TFLM_HEADERS

#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_common.h"
#include "tensorflow/lite/micro/micro_context.h"
#include "tensorflow/lite/micro/micro_log.h"

namespace tflite {
namespace micro {}
}  // namespace tflite

namespace quantmcu {
namespace tflm {
using namespace tflite;         // NOLINT(build/namespaces)
using namespace tflite::micro;  // NOLINT(build/namespaces)
}  // namespace tflm
}  // namespace quantmcu

#else

#include "third_party/tflm_abi/tflm_abi.h"

using tflm_abi::kTfLiteError;
using tflm_abi::kTfLiteInt32;
using tflm_abi::kTfLiteInt8;
using tflm_abi::kTfLiteOk;
using tflm_abi::TfLiteContext;
using tflm_abi::TfLiteEvalTensor;
using tflm_abi::TfLiteIntArray;
using tflm_abi::TfLiteNode;
using tflm_abi::TfLiteStatus;
using tflm_abi::TfLiteType;
using tflm_abi::TFLMRegistration;

#endif  // QUANTMCU_USE_TFLM_HEADERS

#endif  // TFLM_KERNELS_MICRO_TFLM_H_
