// cortex_m/kernels_mve.h - the kernels of portable/ for cores with MVE (Helium, Cortex-M55): equal
// to `reference` in every byte. Each is in <op>_mve.cc, which says what it gains and what it leaves
// to the reference.
//
// Memory   `scratch` holds at least <Op>ScratchBytes(params) bytes (0: it may be null). All else is
//          as in the portable header of the op.
#ifndef TFLM_KERNELS_CORTEX_M_KERNELS_MVE_H_
#define TFLM_KERNELS_CORTEX_M_KERNELS_MVE_H_

#include <stdint.h>

#include "tflm_kernels/portable/add.h"
#include "tflm_kernels/portable/conv2d.h"
#include "tflm_kernels/portable/depthwise_conv2d.h"
#include "tflm_kernels/portable/fully_connected.h"
#include "tflm_kernels/portable/pool2d_params.h"
#include "tflm_kernels/portable/requantize.h"

namespace quantmcu {
namespace mve {

int32_t Conv2DScratchBytes(const Conv2DParams& params);
void Conv2D(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
            const int32_t* bias, const int32_t* multiplier, const int32_t* shift, uint8_t* output,
            uint8_t* scratch);

int32_t DepthwiseConv2DScratchBytes(const DepthwiseConv2DParams& params);
void DepthwiseConv2D(const DepthwiseConv2DParams& params, const uint8_t* input,
                     const uint8_t* filter, const int32_t* bias, const int32_t* multiplier,
                     const int32_t* shift, uint8_t* output, uint8_t* scratch);

int32_t FullyConnectedScratchBytes(const FullyConnectedParams& params);
void FullyConnected(const FullyConnectedParams& params, const uint8_t* input, const uint8_t* filter,
                    const int32_t* bias, const int32_t* multiplier, const int32_t* shift,
                    uint8_t* output, uint8_t* scratch);

// These need no scratch.
void Add(const AddParams& params, const uint8_t* input0, const uint8_t* input1, uint8_t* output,
         uint8_t* scratch);
void AveragePool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output,
                   uint8_t* scratch);
void MaxPool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output, uint8_t* scratch);
void Requantize(const RequantizeParams& params, const uint8_t* input, uint8_t* output,
                uint8_t* scratch);

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_KERNELS_MVE_H_
