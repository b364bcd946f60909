// cortex_m/operands.h - what the kernels with filters get, as one thing to hand on.
#ifndef TFLM_KERNELS_CORTEX_M_OPERANDS_H_
#define TFLM_KERNELS_CORTEX_M_OPERANDS_H_

#include <stdint.h>

#include "tflm_kernels/portable/ops/depthwise_conv2d.h"

namespace quantmcu {

// Of a convolution or fully connected.
struct Operands {
  const uint8_t* input;
  const uint8_t* filter;
  const int32_t* bias;
  const int32_t* multiplier;
  const int32_t* shift;
  uint8_t* scratch;
  uint8_t* output;
};

struct Depthwise {
  const DepthwiseConv2DParams& params;
  const uint8_t* input;
  const uint8_t* filter;
  const int32_t* bias;
  const int32_t* multiplier;
  const int32_t* shift;
  uint8_t* output;
};

}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_OPERANDS_H_
