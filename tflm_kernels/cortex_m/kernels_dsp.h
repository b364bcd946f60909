// cortex_m/kernels_dsp.h - the kernels of portable/ for cores with the DSP extension (Cortex-M4, M7,
// M33): equal to `reference` in every byte. Each is in <op>_dsp.cc, which says what it gains and what
// it leaves to the reference.
//
// Memory   no allocation; `scratch` holds at least <Op>ScratchBytes(params) bytes, on a multiple of 4
//          (0, or no such function: it may be null). All else is as in the portable header of the op.
#ifndef TFLM_KERNELS_CORTEX_M_KERNELS_DSP_H_
#define TFLM_KERNELS_CORTEX_M_KERNELS_DSP_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/portable/add.h"
#include "tflm_kernels/portable/average_pool2d.h"
#include "tflm_kernels/portable/conv2d.h"
#include "tflm_kernels/portable/depthwise_conv2d.h"
#include "tflm_kernels/portable/fully_connected.h"
#include "tflm_kernels/portable/max_pool2d.h"
#include "tflm_kernels/portable/requantize.h"

namespace quantmcu {
namespace dsp {

size_t Conv2DScratchBytes(const Conv2DParams& params);
void Conv2D(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
            const int32_t* bias, const int32_t* multiplier, const int32_t* shift, uint8_t* output,
            uint8_t* scratch);

size_t FullyConnectedScratchBytes(const FullyConnectedParams& params);
void FullyConnected(const FullyConnectedParams& params, const uint8_t* input, const uint8_t* filter,
                    const int32_t* bias, const int32_t* multiplier, const int32_t* shift,
                    uint8_t* output, uint8_t* scratch);

void DepthwiseConv2D(const DepthwiseConv2DParams& params, const uint8_t* input,
                     const uint8_t* filter, const int32_t* bias, const int32_t* multiplier,
                     const int32_t* shift, uint8_t* output, uint8_t* scratch);
void Add(const AddParams& params, const uint8_t* input0, const uint8_t* input1, uint8_t* output,
         uint8_t* scratch);
void AveragePool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output,
                   uint8_t* scratch);
void MaxPool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output, uint8_t* scratch);
void Requantize(const RequantizeParams& params, const uint8_t* input, uint8_t* output,
                uint8_t* scratch);

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_KERNELS_DSP_H_
