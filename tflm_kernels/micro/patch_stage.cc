// QMCU_PATCH_STAGE: input, filters, program -> output (docs/format.md F3, F4).
#include "tflm_kernels/micro/patch_stage.h"

#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/micro/input_reader.h"
#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/options.h"
#include "tflm_kernels/micro/register.h"
#include "tflm_kernels/portable/limits.h"
#include "tflm_kernels/portable/patch_stage.h"

namespace quantmcu {
namespace {

constexpr char kOp[] = "QMCU_PATCH_STAGE";
constexpr int kInput = 0;
constexpr int kFilters = 1;
constexpr int kProgram = 2;
constexpr const char* kCacheModes[] = {"recompute", "rows", "full"};  // StageCacheMode

struct OpData {
  PatchStageParams params;
  int scratch_index;
};

// True if the tensor has the shape that the program gives to the map.
bool HasShape(const FeatureMap& tensor, const StageMap& map) {
  return tensor.height == map.height && tensor.width == map.width;
}

FeatureMap MapOfProgram(const PatchStageParams& params, int32_t map) {
  const StageFormat& format = FormatOf(params, 0, map);
  return {0, 0, params.maps[map].channels, 0, format.bits, format.zero_point};
}

bool ReadProgram(TfLiteContext* context, const TfLiteNode* node, const Kernels& kernels,
                 NodeChecker* checker, PatchStageParams* params) {
  const int32_t num_filter_bytes = checker->Constant(kFilters, kTfLiteInt8);
  const int32_t num_words = checker->Constant(kProgram, kTfLiteInt32);
  if (checker->status() != kTfLiteOk) return false;
  StageError error = {};
  const bool is_read = ReadPatchStageProgram(params->header, InputWords(context, node, kProgram),
                                             num_words, InputBytes(context, node, kFilters),
                                             num_filter_bytes, kernels, params, &error);
  if (!is_read) {
    context->ReportError(context, "%s: %s %d: %s (found %d)", kOp, error.item,
                         static_cast<int>(error.index), error.message,
                         static_cast<int>(error.found));
  }
  return is_read;
}

}  // namespace

void* InitPatchStage(TfLiteContext* context, const char* buffer, size_t length) {
  auto* data = AllocateOpData<OpData>(context, kOp);
  if (data == nullptr) return nullptr;
  PatchStageHeader& header = data->params.header;
  OptionReader options(context, kOp, buffer, length);
  header.tile_height = options.Int("tile_height", 1, kMaxExtent);
  header.tile_width = options.Int("tile_width", 1, kMaxExtent);
  header.cache_mode = options.Choice("cache_mode", kCacheModes, 3);
  header.num_ops = options.Int("num_ops", 1, kMaxStageMaps - 1);
  header.num_maps = options.Int("num_maps", 2, kMaxStageMaps);
  header.num_classes = options.Int("num_classes", 1, INT32_MAX);
  header.outlier_low = options.Int("outlier_low", -128, 127);
  header.outlier_high = options.Int("outlier_high", -128, 127);
  header.outlier_share = options.Int("outlier_share", 0, 65536);
  return options.Finish() ? data : nullptr;
}

TfLiteStatus PreparePatchStage(TfLiteContext* context, TfLiteNode* node, const Kernels& kernels) {
  auto* data = static_cast<OpData*>(node->user_data);
  if (data == nullptr) return kTfLiteError;  // Init has said why
  PatchStageParams& params = data->params;
  NodeChecker checker(context, node, kOp, 3, /*num_optional=*/1);
  if (!ReadProgram(context, node, kernels, &checker, &params)) return kTfLiteError;
  checker.Require((node->inputs->data[kInput] < 0) == IsStreamed(params),
                  "input 0 must be left out if the program streams X, and only then");
  checker.Require(!IsStreamed(params) || GetInputReader().read != nullptr,
                  "the input is streamed: call quantmcu::SetInputReader before AllocateTensors");
  const int32_t last_map = params.header.num_maps - 1;
  FeatureMap x = MapOfProgram(params, 0);
  FeatureMap y = MapOfProgram(params, last_map);
  if (!IsStreamed(params)) {
    checker.InputMap(kInput, &x);
    checker.Require(HasShape(x, params.maps[0]), "input 0 must have the shape of the program's X");
  }
  checker.OutputMap(&y);
  checker.Require(HasShape(y, params.maps[last_map]),
                  "output 0 must have the shape of the program's Y");
  if (checker.status() != kTfLiteOk) return checker.status();
  return RequestScratch(context, PatchStageScratchBytes(params, kernels), &data->scratch_index);
}

TfLiteStatus EvalPatchStage(TfLiteContext* context, TfLiteNode* node, const Kernels& kernels) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  const StageInput x = IsStreamed(data.params) ? StageInput(GetInputReader())
                                               : StageInput(InputBytes(context, node, kInput));
  PatchStage(data.params, kernels, x, Scratch(context, data.scratch_index),
             OutputBytes(context, node));
  return kTfLiteOk;
}

const TFLMRegistration* Register_QMCU_PATCH_STAGE() {
  return RegisterPatchStage<kernels::kKernels>();
}

}  // namespace quantmcu
