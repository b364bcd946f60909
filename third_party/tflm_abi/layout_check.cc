// Compiles only if tflm_abi.h has the layout of the real headers. Not part of the offline build: it
// needs TFLM's sources, FlatBuffers, gemmlowp and ruy at the versions TFLM wants.
//
//   c++ -std=c++17 -fsyntax-only -fno-access-control -Wno-invalid-offsetof \
//       -DTF_LITE_STATIC_MEMORY -I. -I<tflite-micro> -I<flatbuffers>/include -I<gemmlowp> -I<ruy> \
//       third_party/tflm_abi/layout_check.cc
//
// (-fno-access-control: the resolver's array is a private member.)
#include <stddef.h>

#include "python/tflite_micro/python_ops_resolver.h"
#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_common.h"
#include "tensorflow/lite/schema/schema_generated.h"
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
