// Compiles only if tflm_abi.h has the layout of the real headers. Not part of the offline build: it
// needs TFLM's sources, FlatBuffers, gemmlowp and ruy at the versions TFLM wants.
//
//   c++ -std=c++17 -fsyntax-only -fno-access-control -Wno-invalid-offsetof \
//       -DTF_LITE_STATIC_MEMORY -DUSE_TFLM_COMPRESSION -I. -I<tflite-micro> -I<flatbuffers>/include -I<gemmlowp> -I<ruy> \
//       third_party/tflm_abi/layout_check.cc
//
// (-fno-access-control: the resolver's array is a private member.)
#include <stddef.h>

#include "python/tflite_micro/python_ops_resolver.h"
#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/kernels/add.h"
#include "tensorflow/lite/micro/kernels/conv.h"
#include "tensorflow/lite/micro/kernels/fully_connected.h"
#include "tensorflow/lite/micro/kernels/pooling.h"
#include "tensorflow/lite/micro/micro_common.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "third_party/tflm_abi/kernels.h"
#include "third_party/tflm_abi/tflm_abi.h"

// TFLM's names, in tflite or in tflite::micro.
namespace tflite {
namespace micro {}
}  // namespace tflite
namespace tflm {
using namespace tflite;         // NOLINT(build/namespaces)
using namespace tflite::micro;  // NOLINT(build/namespaces)
}  // namespace tflm

#define SAME_VALUE(name) static_assert(static_cast<int>(tflm_abi::name) == static_cast<int>(::name))
#define SAME_SIZE(type) static_assert(sizeof(tflm_abi::type) == sizeof(::type))
#define SAME_OFFSET(type, member) \
  static_assert(offsetof(tflm_abi::type, member) == offsetof(::type, member))

SAME_VALUE(kTfLiteOk);
SAME_VALUE(kTfLiteError);
SAME_VALUE(kTfLiteInt8);
SAME_VALUE(kTfLiteInt32);
static_assert(tflm_abi::kBuiltinOperatorCustom == tflm::BuiltinOperator_CUSTOM);

SAME_SIZE(TfLiteStatus);
SAME_SIZE(TfLiteType);
SAME_SIZE(TfLitePtrUnion);

SAME_SIZE(TfLiteIntArray);
SAME_OFFSET(TfLiteIntArray, size);
SAME_OFFSET(TfLiteIntArray, data);

SAME_SIZE(TfLiteEvalTensor);
SAME_OFFSET(TfLiteEvalTensor, data);
SAME_OFFSET(TfLiteEvalTensor, dims);
SAME_OFFSET(TfLiteEvalTensor, type);

SAME_SIZE(TfLiteNode);
SAME_OFFSET(TfLiteNode, inputs);
SAME_OFFSET(TfLiteNode, outputs);
SAME_OFFSET(TfLiteNode, user_data);
SAME_OFFSET(TfLiteNode, custom_initial_data);
SAME_OFFSET(TfLiteNode, custom_initial_data_size);

SAME_SIZE(TFLMRegistration);
SAME_OFFSET(TFLMRegistration, init);
SAME_OFFSET(TFLMRegistration, free);
SAME_OFFSET(TFLMRegistration, prepare);
SAME_OFFSET(TFLMRegistration, invoke);
SAME_OFFSET(TFLMRegistration, reset);
SAME_OFFSET(TFLMRegistration, builtin_code);
SAME_OFFSET(TFLMRegistration, custom_name);

static_assert(offsetof(tflm_abi::PythonOpsResolver, registrations) ==
              offsetof(tflm::PythonOpsResolver, registrations_));
static_assert(offsetof(tflm_abi::PythonOpsResolver, num_registrations) ==
              offsetof(tflm::PythonOpsResolver, registrations_len_));

// Of kernels.h: members that are read or written, and sizes.
#define SAME_DATA(type, member) \
  static_assert(offsetof(tflm_abi::type, member) == offsetof(tflm::type, member))

static_assert(tflm_abi::kBuiltinOperatorAdd == tflm::BuiltinOperator_ADD);
static_assert(tflm_abi::kBuiltinOperatorAveragePool2D == tflm::BuiltinOperator_AVERAGE_POOL_2D);
static_assert(tflm_abi::kBuiltinOperatorConv2D == tflm::BuiltinOperator_CONV_2D);
static_assert(tflm_abi::kBuiltinOperatorDepthwiseConv2D == tflm::BuiltinOperator_DEPTHWISE_CONV_2D);
static_assert(tflm_abi::kBuiltinOperatorFullyConnected == tflm::BuiltinOperator_FULLY_CONNECTED);
static_assert(tflm_abi::kBuiltinOperatorMaxPool2D == tflm::BuiltinOperator_MAX_POOL_2D);

SAME_SIZE(TfLitePaddingValues);
SAME_OFFSET(TfLitePaddingValues, width);
SAME_OFFSET(TfLitePaddingValues, height);
SAME_OFFSET(TfLitePaddingValues, width_offset);
SAME_OFFSET(TfLitePaddingValues, height_offset);

SAME_SIZE(TfLiteConvParams);
SAME_OFFSET(TfLiteConvParams, padding);
SAME_OFFSET(TfLiteConvParams, stride_width);
SAME_OFFSET(TfLiteConvParams, stride_height);
SAME_OFFSET(TfLiteConvParams, activation);
SAME_OFFSET(TfLiteConvParams, dilation_width_factor);
SAME_OFFSET(TfLiteConvParams, dilation_height_factor);
SAME_OFFSET(TfLiteConvParams, quantized_bias_type);

SAME_SIZE(TfLiteDepthwiseConvParams);
SAME_OFFSET(TfLiteDepthwiseConvParams, padding);
SAME_OFFSET(TfLiteDepthwiseConvParams, stride_width);
SAME_OFFSET(TfLiteDepthwiseConvParams, stride_height);
SAME_OFFSET(TfLiteDepthwiseConvParams, depth_multiplier);
SAME_OFFSET(TfLiteDepthwiseConvParams, activation);
SAME_OFFSET(TfLiteDepthwiseConvParams, dilation_width_factor);
SAME_OFFSET(TfLiteDepthwiseConvParams, dilation_height_factor);

SAME_SIZE(TfLitePoolParams);
SAME_OFFSET(TfLitePoolParams, padding);
SAME_OFFSET(TfLitePoolParams, stride_width);
SAME_OFFSET(TfLitePoolParams, stride_height);
SAME_OFFSET(TfLitePoolParams, filter_width);
SAME_OFFSET(TfLitePoolParams, filter_height);
SAME_OFFSET(TfLitePoolParams, activation);

static_assert(sizeof(tflm_abi::OpDataAdd) == sizeof(tflm::OpDataAdd));
SAME_DATA(OpDataAdd, requires_broadcast);
SAME_DATA(OpDataAdd, input1_shift);
SAME_DATA(OpDataAdd, input2_shift);
SAME_DATA(OpDataAdd, output_activation_min);
SAME_DATA(OpDataAdd, output_activation_max);
SAME_DATA(OpDataAdd, input1_multiplier);
SAME_DATA(OpDataAdd, input2_multiplier);
SAME_DATA(OpDataAdd, output_multiplier);
SAME_DATA(OpDataAdd, output_shift);
SAME_DATA(OpDataAdd, left_shift);
SAME_DATA(OpDataAdd, input1_offset);
SAME_DATA(OpDataAdd, input2_offset);
SAME_DATA(OpDataAdd, output_offset);
SAME_DATA(OpDataAdd, output_activation_min_f32);
SAME_DATA(OpDataAdd, output_activation_max_f32);

static_assert(sizeof(tflm_abi::OpDataPooling) == sizeof(tflm::OpDataPooling));
SAME_DATA(OpDataPooling, padding);
SAME_DATA(OpDataPooling, activation_min);
SAME_DATA(OpDataPooling, activation_max);
SAME_DATA(OpDataPooling, activation_min_f32);
SAME_DATA(OpDataPooling, activation_max_f32);

static_assert(sizeof(tflm_abi::OpDataConv) == sizeof(tflm::OpDataConv));
SAME_DATA(OpDataConv, padding);
SAME_DATA(OpDataConv, input_zero_point);
SAME_DATA(OpDataConv, filter_zero_point);
SAME_DATA(OpDataConv, output_zero_point);
SAME_DATA(OpDataConv, output_multiplier);
SAME_DATA(OpDataConv, output_shift);
SAME_DATA(OpDataConv, per_channel_output_multiplier);
SAME_DATA(OpDataConv, per_channel_output_shift);
SAME_DATA(OpDataConv, output_activation_min);
SAME_DATA(OpDataConv, output_activation_max);
SAME_DATA(OpDataConv, filter_buffer_index);
SAME_DATA(OpDataConv, weights_scratch_index);
SAME_DATA(OpDataConv, bias_scratch_index);

static_assert(sizeof(tflm_abi::OpDataFullyConnected) == sizeof(tflm::OpDataFullyConnected));
SAME_DATA(OpDataFullyConnected, output_multiplier);
SAME_DATA(OpDataFullyConnected, output_shift);
SAME_DATA(OpDataFullyConnected, output_activation_min);
SAME_DATA(OpDataFullyConnected, output_activation_max);
SAME_DATA(OpDataFullyConnected, input_quantized_index);
SAME_DATA(OpDataFullyConnected, input_zero_point);
SAME_DATA(OpDataFullyConnected, filter_zero_point);
SAME_DATA(OpDataFullyConnected, output_zero_point);
SAME_DATA(OpDataFullyConnected, filter_buffer_index);
SAME_DATA(OpDataFullyConnected, per_channel_output_multiplier);
SAME_DATA(OpDataFullyConnected, per_channel_output_shift);
SAME_DATA(OpDataFullyConnected, is_per_channel);
SAME_DATA(OpDataFullyConnected, weights_scratch_index);
SAME_DATA(OpDataFullyConnected, bias_scratch_index);
