// micro/register_on.h - ops of ours on a kernel of one's own choice. What it does not need is not linked:
//
//   resolver.AddCustom("QMCU_CONV_2D",
//                      quantmcu::RegisterOn<quantmcu::Conv2DOp, quantmcu::kernels::Conv2DOf<8, 8>>());
//
// The kernel must take every call that the model makes (cortex_m/among.h chooses among several); patch_stage.h is the
// same for stages.
#ifndef TFLM_KERNELS_MICRO_REGISTER_ON_H_
#define TFLM_KERNELS_MICRO_REGISTER_ON_H_

#include <stddef.h>

#include "tflm_kernels/micro/hook.h"
#include "tflm_kernels/micro/tflm.h"
#include "tflm_kernels/portable/ops/add.h"
#include "tflm_kernels/portable/ops/conv2d.h"
#include "tflm_kernels/portable/ops/depthwise_conv2d.h"
#include "tflm_kernels/portable/ops/fully_connected.h"

namespace quantmcu {

// An op without its kernel.
template <typename KernelFn>
struct OwnOp {
  using Kernel = KernelFn;
  static void* Init(TfLiteContext* context, const char* buffer, size_t length);
  static TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node);
  static TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node, Kernel* kernel);
};

using AddOp = OwnOp<AddFn>;
using Conv2DOp = OwnOp<Conv2DFn>;
using DepthwiseConv2DOp = OwnOp<DepthwiseConv2DFn>;
using FullyConnectedOp = OwnOp<FullyConnectedFn>;

// TFLM hands a registration nothing of ours, so the kernel is part of its functions.
template <typename Op, typename Op::Kernel* kKernel>
TfLiteStatus EvalOn(TfLiteContext* context, TfLiteNode* node) {
  return Op::Eval(context, node, kKernel);
}

template <typename Op, typename Op::Kernel* kKernel>
const TFLMRegistration* RegisterOn() {
  static const TFLMRegistration registration = {
      Op::Init, nullptr, Op::Prepare, EvalWithHook<EvalOn<Op, kKernel>>, nullptr, 0, nullptr};
  return &registration;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_REGISTER_ON_H_
