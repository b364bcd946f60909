// micro/context.h - what ops ask TFLM for, by TFLM's names.
//
// With TFLM's headers its MicroContext answers, which every version has. Without them (TFLM's Python
// interpreter, any version) the functions are those of the interpreter's library, which whoever loads ours
// hands over.
#ifndef TFLM_KERNELS_MICRO_CONTEXT_H_
#define TFLM_KERNELS_MICRO_CONTEXT_H_

#include <stddef.h>

#include "tflm_kernels/micro/tflm.h"

namespace quantmcu {

#ifdef QUANTMCU_USE_TFLM_HEADERS

template <typename... Values>
void ReportError(TfLiteContext*, const char* format, Values... values) {
  using namespace tflm;  // NOLINT(build/namespaces)
  MicroPrintf(format, values...);
}

inline void* AllocatePersistentBuffer(TfLiteContext* context, size_t bytes) {
  return tflm::GetMicroContext(context)->AllocatePersistentBuffer(bytes);
}

inline TfLiteStatus RequestScratchBufferInArena(TfLiteContext* context, size_t bytes, int* index) {
  return tflm::GetMicroContext(context)->RequestScratchBufferInArena(bytes, index);
}

inline void* GetScratchBuffer(TfLiteContext* context, int index) {
  return tflm::GetMicroContext(context)->GetScratchBuffer(index);
}

inline TfLiteEvalTensor* GetEvalTensor(const TfLiteContext* context, int index) {
  return tflm::GetMicroContext(context)->GetEvalTensor(index);
}

#else

inline tflm_abi::ContextFunctions context_functions = {};

template <typename... Values>
void ReportError(TfLiteContext* context, const char* format, Values... values) {
  context_functions.ReportOpError(context, format, values...);
}

inline void* AllocatePersistentBuffer(TfLiteContext* context, size_t bytes) {
  return context_functions.AllocatePersistentBuffer(context, bytes);
}

inline TfLiteStatus RequestScratchBufferInArena(TfLiteContext* context, size_t bytes, int* index) {
  return context_functions.RequestScratchBufferInArena(context, bytes, index);
}

inline void* GetScratchBuffer(TfLiteContext* context, int index) {
  return context_functions.GetScratchBuffer(context, index);
}

inline TfLiteEvalTensor* GetEvalTensor(const TfLiteContext* context, int index) {
  return context_functions.GetEvalTensor(context, index);
}

#endif  // QUANTMCU_USE_TFLM_HEADERS

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_CONTEXT_H_
