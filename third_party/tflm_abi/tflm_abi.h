// The part of TFLM's binary interface that our ops use, declared anew, for builds without TFLM.
//
// Layout of TensorFlow Lite Micro built with TF_LITE_STATIC_MEMORY, the same in every version that
// third_party/README.md names. Members that we do not use are placeholders of the same size.
// layout_check.cc holds this page against the real headers.
#ifndef THIRD_PARTY_TFLM_ABI_TFLM_ABI_H_
#define THIRD_PARTY_TFLM_ABI_TFLM_ABI_H_

#include <stddef.h>
#include <stdint.h>

namespace tflm_abi {

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

enum TfLiteType { kTfLiteInt32 = 2, kTfLiteInt8 = 9 };

constexpr int32_t kBuiltinOperatorCustom = 32;

struct TfLiteIntArray {
  int size;
  int data[];
};

union TfLitePtrUnion {
  void* data;
};

struct TfLiteEvalTensor {
  TfLitePtrUnion data;
  TfLiteIntArray* dims;
  TfLiteType type;
};

struct TfLiteNode {
  TfLiteIntArray* inputs;
  TfLiteIntArray* outputs;
  TfLiteIntArray* intermediates;
  void* user_data;
  void* builtin_data;
  const void* custom_initial_data;
  int custom_initial_data_size;
};

// What the interpreter hands to every op. Its members differ between versions, so nobody looks inside.
struct TfLiteContext;

struct TFLMRegistration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  void (*reset)(TfLiteContext* context, void* buffer);
  int32_t builtin_code;
  const char* custom_name;
};

// TFLM's functions MicroContextAllocatePersistentBuffer and so on, with TFLM's own signatures.
struct ContextFunctions {
  void* (*AllocatePersistentBuffer)(TfLiteContext* context, size_t bytes);
  TfLiteStatus (*RequestScratchBufferInArena)(TfLiteContext* context, size_t bytes,
                                              int* buffer_index);
  void* (*GetScratchBuffer)(TfLiteContext* context, int buffer_index);
  TfLiteEvalTensor* (*GetEvalTensor)(const TfLiteContext* context, int tensor_index);
  void (*ReportOpError)(TfLiteContext* context, const char* format, ...);
};

// The leading members of the Python interpreter's resolver, a MicroMutableOpResolver<200>.
struct PythonOpsResolver {
  static constexpr unsigned int kMaxRegistrations = 200;

  void* vtable;
  TFLMRegistration registrations[kMaxRegistrations];
  unsigned int num_registrations;
};

}  // namespace tflm_abi

#endif  // THIRD_PARTY_TFLM_ABI_TFLM_ABI_H_
