// aot/kernels.h - the kernels that emitted code calls (docs/emit.md): of each op the variant for the
// core that is compiled for.
#ifndef TFLM_KERNELS_AOT_KERNELS_H_
#define TFLM_KERNELS_AOT_KERNELS_H_

#include "tflm_kernels/portable/add.h"
#include "tflm_kernels/portable/average_pool2d.h"
#include "tflm_kernels/portable/broadcast_add.h"
#include "tflm_kernels/portable/conv2d.h"
#include "tflm_kernels/portable/depthwise_conv2d.h"
#include "tflm_kernels/portable/fully_connected.h"
#include "tflm_kernels/portable/hard_swish.h"
#include "tflm_kernels/portable/logistic.h"
#include "tflm_kernels/portable/max_pool2d.h"
#include "tflm_kernels/portable/mean.h"
#include "tflm_kernels/portable/mul.h"
#include "tflm_kernels/portable/patch_stage.h"
#include "tflm_kernels/portable/quantize.h"
#include "tflm_kernels/portable/requantize.h"
#include "tflm_kernels/portable/softmax.h"
#include "tflm_kernels/portable/strided_copy.h"

namespace quantmcu {
namespace aot {

using quantmcu::PatchStage;
using reference::Add;
using reference::AveragePool2D;
using reference::BroadcastAdd;
using reference::Conv2D;
using reference::DepthwiseConv2D;
using reference::Dequantize;
using reference::Fill;
using reference::FullyConnected;
using reference::HardSwish;
using reference::Logistic;
using reference::MaxPool2D;
using reference::Mean;
using reference::Mul;
using reference::Quantize;
using reference::Requantize;
using reference::RequantizeBytes;
using reference::Softmax;
using reference::StridedCopy;

}  // namespace aot
}  // namespace quantmcu

#endif  // TFLM_KERNELS_AOT_KERNELS_H_
