// micro/pool2d.h - Init and Prepare of the two pools, which differ in their kernel only.
#ifndef TFLM_KERNELS_MICRO_POOL2D_H_
#define TFLM_KERNELS_MICRO_POOL2D_H_

#include <stddef.h>

#include "tflm_kernels/micro/tflm.h"

namespace quantmcu {

// Returns Pool2DParams, or null after a report. `op` is the custom code.
void* InitPool2D(TfLiteContext* context, const char* op, const char* buffer, size_t length);
TfLiteStatus PreparePool2D(TfLiteContext* context, const char* op, TfLiteNode* node);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_POOL2D_H_
