// micro/register.h - gives the ops to a TFLM resolver:
//
//   tflite::MicroMutableOpResolver<quantmcu::kNumOps + 3> resolver;  // and 3 of TFLM's own
//   TF_LITE_ENSURE_STATUS(quantmcu::RegisterOps(resolver));
//
// To save flash, add just the ops that a model has:
//
//   resolver.AddCustom("QMCU_ADD", quantmcu::Register_QMCU_ADD());
//
// These link the kernels of all widths; register_on.h and patch_stage.h those named.
#ifndef TFLM_KERNELS_MICRO_REGISTER_H_
#define TFLM_KERNELS_MICRO_REGISTER_H_

#include "tflm_kernels/micro/tflm.h"

namespace quantmcu {

const TFLMRegistration* Register_QMCU_ADD();
const TFLMRegistration* Register_QMCU_AVERAGE_POOL_2D();
const TFLMRegistration* Register_QMCU_CHANNEL_LUT();
const TFLMRegistration* Register_QMCU_CONV_2D();
const TFLMRegistration* Register_QMCU_DEPTHWISE_CONV_2D();
const TFLMRegistration* Register_QMCU_FULLY_CONNECTED();
const TFLMRegistration* Register_QMCU_LUT();
const TFLMRegistration* Register_QMCU_MAX_POOL_2D();
const TFLMRegistration* Register_QMCU_PATCH_STAGE();
const TFLMRegistration* Register_QMCU_REQUANTIZE();

// Places that RegisterOps takes in a resolver.
constexpr int kNumOps = 10;

// Adds all ops. Returns the first error of resolver.AddCustom, which TFLM's resolvers report.
template <typename Resolver>
[[nodiscard]] TfLiteStatus RegisterOps(Resolver& resolver) {
  struct Op {
    const char* name;
    const TFLMRegistration* registration;
  };
  const Op ops[] = {
      {"QMCU_ADD", Register_QMCU_ADD()},
      {"QMCU_AVERAGE_POOL_2D", Register_QMCU_AVERAGE_POOL_2D()},
      {"QMCU_CHANNEL_LUT", Register_QMCU_CHANNEL_LUT()},
      {"QMCU_CONV_2D", Register_QMCU_CONV_2D()},
      {"QMCU_DEPTHWISE_CONV_2D", Register_QMCU_DEPTHWISE_CONV_2D()},
      {"QMCU_FULLY_CONNECTED", Register_QMCU_FULLY_CONNECTED()},
      {"QMCU_LUT", Register_QMCU_LUT()},
      {"QMCU_MAX_POOL_2D", Register_QMCU_MAX_POOL_2D()},
      {"QMCU_PATCH_STAGE", Register_QMCU_PATCH_STAGE()},
      {"QMCU_REQUANTIZE", Register_QMCU_REQUANTIZE()},
  };
  static_assert(sizeof(ops) / sizeof(ops[0]) == kNumOps, "kNumOps is what resolvers are sized by");
  for (const Op& op : ops) {
    const TfLiteStatus status = resolver.AddCustom(op.name, op.registration);
    if (status != kTfLiteOk) return status;
  }
  return kTfLiteOk;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_REGISTER_H_
