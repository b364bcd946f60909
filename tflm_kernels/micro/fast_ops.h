// micro/fast_ops.h - TFLite's own int8 ops on our kernels, for any .tflite, converted or not. In place of
// resolver.AddConv2D() and its like:
//
//   tflite::MicroMutableOpResolver<quantmcu::kNumFastOps + 2> resolver;  // these, and 2 more of TFLM's
//   TF_LITE_ENSURE_STATUS(quantmcu::RegisterFastOps(resolver));
//
// TFLM's own Init and Prepare run as ever, so that its persistent arena is the same, but for the 4 bytes that it keeps
// for each kernel that asks for scratch. Filters are read in TFLite's order. What our kernels do not take (float,
// 16 bits, grouped or 4-bit filters, several images, sums that broadcast), and all ops of cores whose kernels of ours
// are the reference, run as TFLM's. What TFLM's reference kernels keep is read: where TFLM is built with a vendor's
// kernels or with compression, its own alone are registered.
//
// FastConv2DOn<quantmcu::kernels::Conv2DRegular>() and its like are on a kernel of one's own choice, so that others are
// not linked; it must take every call that the model makes (register_on.h).
//
// Needs TFLM's headers and fast_ops/*.cc (group fast_ops of tflm_kernels/sources.txt).
#ifndef TFLM_KERNELS_MICRO_FAST_OPS_H_
#define TFLM_KERNELS_MICRO_FAST_OPS_H_

#include "tflm_kernels/micro/tflm.h"
#include "tflm_kernels/portable/ops/conv2d.h"
#include "tflm_kernels/portable/ops/depthwise_conv2d.h"

namespace quantmcu {

TFLMRegistration FastConv2D();
TFLMRegistration FastDepthwiseConv2D();
TFLMRegistration FastFullyConnected();
TFLMRegistration FastAdd();
TFLMRegistration FastAveragePool2D();
TFLMRegistration FastMaxPool2D();

// Those with this Eval, and an Eval without its kernel.
using FastEval = TfLiteStatus(TfLiteContext* context, TfLiteNode* node);
TFLMRegistration FastConv2D(FastEval* eval);
TFLMRegistration FastDepthwiseConv2D(FastEval* eval);
TfLiteStatus EvalFastConv2D(TfLiteContext* context, TfLiteNode* node, Conv2DFn* kernel);
TfLiteStatus EvalFastDepthwiseConv2D(TfLiteContext* context, TfLiteNode* node,
                                     DepthwiseConv2DFn* kernel);

template <Conv2DFn* kKernel>
TFLMRegistration FastConv2DOn() {
  return FastConv2D([](TfLiteContext* context, TfLiteNode* node) {
    return EvalFastConv2D(context, node, kKernel);
  });
}

template <DepthwiseConv2DFn* kKernel>
TFLMRegistration FastDepthwiseConv2DOn() {
  return FastDepthwiseConv2D([](TfLiteContext* context, TfLiteNode* node) {
    return EvalFastDepthwiseConv2D(context, node, kKernel);
  });
}

// Places that RegisterFastOps takes in a resolver.
constexpr int kNumFastOps = 6;

// Adds all of them. Returns the first error of the resolver, which reports it.
template <typename Resolver>
[[nodiscard]] TfLiteStatus RegisterFastOps(Resolver& resolver) {
  const TfLiteStatus statuses[] = {
      resolver.AddConv2D(FastConv2D()),
      resolver.AddDepthwiseConv2D(FastDepthwiseConv2D()),
      resolver.AddFullyConnected(FastFullyConnected()),
      resolver.AddAdd(FastAdd()),
      resolver.AddAveragePool2D(FastAveragePool2D()),
      resolver.AddMaxPool2D(FastMaxPool2D()),
  };
  static_assert(sizeof(statuses) / sizeof(statuses[0]) == kNumFastOps,
                "what resolvers are sized by");
  for (const TfLiteStatus status : statuses) {
    if (status != kTfLiteOk) return status;
  }
  return kTfLiteOk;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_FAST_OPS_H_
