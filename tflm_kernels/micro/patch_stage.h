// micro/patch_stage.h - QMCU_PATCH_STAGE on a table of kernels of one's own. What the table does not
// name is not linked:
//
//   inline constexpr quantmcu::Kernels kStageKernels = {...};
//   resolver.AddCustom("QMCU_PATCH_STAGE", quantmcu::RegisterPatchStage<kStageKernels>());
//
// Prepare refuses a stage that needs another kernel. A program that is built for one model may say which stages that
// one has; then what checks any other's is not linked either:
//
//   inline constexpr quantmcu::KnownStage kStages[] = {{0x12345678, 1024, {4, 4, ...}}};
//   resolver.AddCustom("QMCU_PATCH_STAGE", quantmcu::RegisterKnownPatchStage<kStageKernels, kStages>());
#ifndef TFLM_KERNELS_MICRO_PATCH_STAGE_H_
#define TFLM_KERNELS_MICRO_PATCH_STAGE_H_

#include <stddef.h>

#include "tflm_kernels/micro/hook.h"
#include "tflm_kernels/micro/tflm.h"
#include "tflm_kernels/portable/ops/kernels.h"
#include "tflm_kernels/portable/stage/program.h"

namespace quantmcu {

// A stage that was checked when the program was made. Prepare takes no other: it compares the CRC-32 of the node's
// options with its program's words behind them (portable/law/crc32.h), and the size of its filters.
struct KnownStage {
  uint32_t crc32;
  int32_t num_filter_bytes;
  PatchStageHeader header;
};

struct KnownStages {
  const KnownStage* stages;
  size_t count;
};

void* InitPatchStage(TfLiteContext* context, const char* buffer, size_t length);
TfLiteStatus PreparePatchStage(TfLiteContext* context, TfLiteNode* node, const Kernels& kernels);
TfLiteStatus EvalPatchStage(TfLiteContext* context, TfLiteNode* node, const Kernels& kernels);

void* InitKnownPatchStage(TfLiteContext* context, const char* buffer, size_t length);
TfLiteStatus PrepareKnownPatchStage(TfLiteContext* context, TfLiteNode* node,
                                    const Kernels& kernels, const KnownStages& known);

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

// kStages: an array of KnownStage.
template <const Kernels& kTable, const auto& kStages>
const TFLMRegistration* RegisterKnownPatchStage() {
  static const TFLMRegistration registration = {
      InitKnownPatchStage,
      nullptr,
      [](TfLiteContext* context, TfLiteNode* node) {
        return PrepareKnownPatchStage(context, node, kTable,
                                      {kStages, sizeof(kStages) / sizeof(kStages[0])});
      },
      EvalWithHook<EvalPatchStageOn<kTable>>,
      nullptr,
      0,
      nullptr};
  return &registration;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_PATCH_STAGE_H_
