// micro/pool2d.h - what the two pools share: they differ in their kernel only.
#ifndef TFLM_KERNELS_MICRO_POOL2D_H_
#define TFLM_KERNELS_MICRO_POOL2D_H_

#include <stddef.h>

#include "tflm_kernels/micro/tflm.h"
#include "tflm_kernels/portable/ops/pool2d_params.h"

namespace quantmcu {

// Returns the op's data, or null after a report. `op` is the custom code.
void* InitPool2D(TfLiteContext* context, const char* op, const char* buffer, size_t length);
TfLiteStatus PreparePool2D(TfLiteContext* context, const char* op, TfLiteNode* node);

// Of the node's options and tensors.
Pool2DParams ParamsOfPool2D(const TfLiteContext* context, const TfLiteNode* node);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_POOL2D_H_
