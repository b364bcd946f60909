// RegisterFastOps for TFLM's Python interpreter: its resolver has all of TFLM's ops, so ours take their places.
//
// TFLM on the host then records the arena of a core that runs them so: they ask for its scratch (scratch.cc).
#include "tflm_kernels/micro/fast_ops.h"

#include "tflm_kernels/micro/context.h"
#include "tflm_kernels/micro/fast_ops/tflms.h"
#include "tflm_kernels/micro/python/resolver.h"

namespace quantmcu {
namespace tflm {
namespace {

TFLMRegistration add, average_pool2d, conv2d, depthwise_conv2d, fully_connected, max_pool2d;

}  // namespace

TFLMRegistration Register_ADD() { return add; }
TFLMRegistration Register_AVERAGE_POOL_2D() { return average_pool2d; }
TFLMRegistration Register_CONV_2D() { return conv2d; }
TFLMRegistration Register_DEPTHWISE_CONV_2D() { return depthwise_conv2d; }
TFLMRegistration Register_FULLY_CONNECTED() { return fully_connected; }
TFLMRegistration Register_MAX_POOL_2D() { return max_pool2d; }

}  // namespace tflm

namespace {

struct Replacement {
  int32_t builtin_code;
  TFLMRegistration* tflms;
  TFLMRegistration (*fast)();
};

constexpr Replacement kReplacements[] = {
    {tflm_abi::kBuiltinOperatorAdd, &tflm::add, FastAdd},
    {tflm_abi::kBuiltinOperatorAveragePool2D, &tflm::average_pool2d, FastAveragePool2D},
    {tflm_abi::kBuiltinOperatorConv2D, &tflm::conv2d, FastConv2D},
    {tflm_abi::kBuiltinOperatorDepthwiseConv2D, &tflm::depthwise_conv2d, FastDepthwiseConv2D},
    {tflm_abi::kBuiltinOperatorFullyConnected, &tflm::fully_connected, FastFullyConnected},
    {tflm_abi::kBuiltinOperatorMaxPool2D, &tflm::max_pool2d, FastMaxPool2D},
};
static_assert(sizeof(kReplacements) / sizeof(kReplacements[0]) == kNumFastOps, "all of them");

}  // namespace
}  // namespace quantmcu

// False if no functions were handed over, or the resolver lacks one of TFLM's ops.
extern "C" bool QuantMcuRegisterFastOps(void* resolver) {
  if (quantmcu::context_functions.GetEvalTensor == nullptr) return false;
  quantmcu::ResolverAccess access(resolver);
  for (const quantmcu::Replacement& op : quantmcu::kReplacements) {
    TFLMRegistration* registration = access.FindBuiltin(op.builtin_code);
    if (registration == nullptr) return false;
    *op.tflms = *registration;
    *registration = op.fast();
  }
  return true;
}
