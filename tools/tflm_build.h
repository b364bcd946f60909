// What nearly every file of TFLM includes.
#ifndef QUANTMCU_TOOLS_TFLM_BUILD_H_
#define QUANTMCU_TOOLS_TFLM_BUILD_H_

#include "tensorflow/lite/kernels/internal/common.h"
#include "tensorflow/lite/micro/micro_context.h"
#include "tensorflow/lite/schema/schema_generated.h"

#endif  // QUANTMCU_TOOLS_TFLM_BUILD_H_
