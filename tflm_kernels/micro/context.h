// micro/context.h - what ops ask TFLM for, by TFLM's names.
//
// With TFLM's headers the functions are the context's own. Without them (TFLM's Python interpreter, any
// version) they are those of the interpreter's library, which whoever loads ours hands over.
#ifndef TFLM_KERNELS_MICRO_CONTEXT_H_
#define TFLM_KERNELS_MICRO_CONTEXT_H_

#include <stddef.h>

#include "tflm_kernels/micro/tflm.h"

namespace quantmcu {

#ifdef QUANTMCU_USE_TFLM_HEADERS

inline const TfLiteContext& FunctionsOf(const TfLiteContext* context) { return *context; }

template <typename... Values>
void ReportError(TfLiteContext* context, const char* format, Values... values) {
  context->ReportError(context, format, values...);
}

#else

inline tflm_abi::ContextFunctions context_functions = {};

inline const tflm_abi::ContextFunctions& FunctionsOf(const TfLiteContext*) {
  return context_functions;
}

template <typename... Values>
void ReportError(TfLiteContext* context, const char* format, Values... values) {
  context_functions.ReportOpError(context, format, values...);
}

#endif  // QUANTMCU_USE_TFLM_HEADERS

inline void* AllocatePersistentBuffer(TfLiteContext* context, size_t bytes) {
  return FunctionsOf(context).AllocatePersistentBuffer(context, bytes);
}

inline TfLiteStatus RequestScratchBufferInArena(TfLiteContext* context, size_t bytes, int* index) {
  return FunctionsOf(context).RequestScratchBufferInArena(context, bytes, index);
}

inline void* GetScratchBuffer(TfLiteContext* context, int index) {
  return FunctionsOf(context).GetScratchBuffer(context, index);
}

inline TfLiteEvalTensor* GetEvalTensor(const TfLiteContext* context, int index) {
  return FunctionsOf(context).GetEvalTensor(context, index);
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_CONTEXT_H_
