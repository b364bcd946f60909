// micro/patch_stage.h - QMCU_PATCH_STAGE on a table of kernels of one's own. What the table does not
// name is not linked:
//
//   inline constexpr quantmcu::Kernels kStageKernels = {...};
//   resolver.AddCustom("QMCU_PATCH_STAGE", quantmcu::RegisterPatchStage<kStageKernels>());
//
// Prepare refuses a stage that needs another kernel.
#ifndef TFLM_KERNELS_MICRO_PATCH_STAGE_H_
#define TFLM_KERNELS_MICRO_PATCH_STAGE_H_

#include <stddef.h>

#include "tflm_kernels/micro/hook.h"
#include "tflm_kernels/micro/tflm.h"
#include "tflm_kernels/portable/ops/kernels.h"

namespace quantmcu {

void* InitPatchStage(TfLiteContext* context, const char* buffer, size_t length);
TfLiteStatus PreparePatchStage(TfLiteContext* context, TfLiteNode* node, const Kernels& kernels);
TfLiteStatus EvalPatchStage(TfLiteContext* context, TfLiteNode* node, const Kernels& kernels);

// TFLM hands a registration nothing of ours, so the table is part of its functions.
template <const Kernels& kTable>
TfLiteStatus EvalPatchStageOn(TfLiteContext* context, TfLiteNode* node) {
  return EvalPatchStage(context, node, kTable);
}

template <const Kernels& kTable>
const TFLMRegistration* RegisterPatchStage() {
  static const TFLMRegistration registration = {InitPatchStage,
                                                nullptr,
                                                [](TfLiteContext* context, TfLiteNode* node) {
                                                  return PreparePatchStage(context, node, kTable);
                                                },
                                                EvalWithHook<EvalPatchStageOn<kTable>>,
                                                nullptr,
                                                0,
                                                nullptr};
  return &registration;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_PATCH_STAGE_H_
