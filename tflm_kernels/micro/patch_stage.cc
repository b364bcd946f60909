// QMCU_PATCH_STAGE: inputs, filters, program -> output (docs/format.md F3, F4).

// Small, not fast: what it calls takes the time.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/micro/patch_stage.h"

#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/micro/hook.h"
#include "tflm_kernels/micro/input_reader.h"
#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/options.h"
#include "tflm_kernels/micro/register.h"
#include "tflm_kernels/micro/scratch.h"
#include "tflm_kernels/portable/law/crc32.h"
#include "tflm_kernels/portable/law/limits.h"
#include "tflm_kernels/portable/stage/read_program.h"
#include "tflm_kernels/portable/stage/run.h"

namespace quantmcu {
namespace {

constexpr char kOp[] = "QMCU_PATCH_STAGE";
constexpr int kInput = 0;
constexpr int kNumConstants = 2;  // filters and program, behind the inputs
constexpr char kNeedsReader[] =
    "the input is streamed: call quantmcu::SetInputReader before AllocateTensors";
constexpr const char* kCacheModes[] = {"recompute", "rows", "full", "ahead"};  // StageCacheMode

struct OpData {
  int32_t num_classes;
  int32_t outlier_share;
  int16_t scratch_index;
  int16_t tile_height;
  int16_t tile_width;
  int8_t num_ops;
  int8_t num_maps;
  int8_t cache_mode;
  int8_t primed;
  int8_t outlier_low;
  int8_t outlier_high;
};

PatchStageHeader HeaderOf(const OpData& data) {
  return {data.tile_height,  data.tile_width,   data.num_ops, data.num_maps,
          data.num_classes,  data.cache_mode,   data.primed,  data.outlier_low,
          data.outlier_high, data.outlier_share};
}

FeatureMap MapInProgram(const PatchStageParams& params, int32_t m) {
  const StageMap& map = params.maps[m];
  const StageFormat& format = FormatOf(params, 0, m);
  const int32_t row_bytes = map.width * RunBytes(map.channels, format.bits);
  return {map.height, map.width, map.channels, row_bytes, format.bits, format.zero_point};
}

// Fills what Init of any stage reads off the options.
void SetHeader(const PatchStageHeader& header, OpData* data) {
  data->num_classes = header.num_classes;
  data->outlier_share = header.outlier_share;
  data->tile_height = static_cast<int16_t>(header.tile_height);
  data->tile_width = static_cast<int16_t>(header.tile_width);
  data->num_ops = static_cast<int8_t>(header.num_ops);
  data->num_maps = static_cast<int8_t>(header.num_maps);
  data->cache_mode = static_cast<int8_t>(header.cache_mode);
  data->primed = static_cast<int8_t>(header.primed);
  data->outlier_low = static_cast<int8_t>(header.outlier_low);
  data->outlier_high = static_cast<int8_t>(header.outlier_high);
}

// Behind the inputs of a node of the right size.
int FiltersOf(const TfLiteNode* node) { return node->inputs->size - kNumConstants; }
int ProgramOf(const TfLiteNode* node) { return node->inputs->size - 1; }

bool HasReader(const PatchStageParams& params) {
  return !IsStreamed(params) || GetInputReader().read != nullptr;
}

bool ReadProgram(TfLiteContext* context, const TfLiteNode* node, const Kernels& kernels,
                 NodeChecker* checker, PatchStageParams* params) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  const int32_t num_filter_bytes = checker->Constant(FiltersOf(node), kTfLiteInt8);
  const int32_t num_words = checker->Constant(ProgramOf(node), kTfLiteInt32);
  if (checker->status() != kTfLiteOk) return false;
  StageError error = {};
  const bool is_read = ReadPatchStageProgram(
      HeaderOf(data), InputWords(context, node, ProgramOf(node)), num_words,
      InputBytes(context, node, FiltersOf(node)), num_filter_bytes, kernels, params, &error);
  if (!is_read) {
    ReportError(context, "%s: %s %d: %s (found %d)", kOp, error.item, static_cast<int>(error.index),
                error.message, static_cast<int>(error.found));
  }
  return is_read;
}

// Null where the node is none of them.
const KnownStage* FindStage(const TfLiteContext* context, const TfLiteNode* node,
                            const KnownStages& known) {
  const TfLiteEvalTensor& program = *InputTensor(context, node, ProgramOf(node));
  const uint32_t num_options = static_cast<uint32_t>(node->custom_initial_data_size);
  const uint32_t num_bytes = sizeof(int32_t) * static_cast<uint32_t>(NumElements(program));
  const uint32_t crc32 =
      Crc32(program.data.data, num_bytes, Crc32(node->custom_initial_data, num_options));
  const int32_t num_filter_bytes = NumElements(*InputTensor(context, node, FiltersOf(node)));
  for (size_t i = 0; i < known.count; ++i) {
    const KnownStage& stage = known.stages[i];
    if (stage.crc32 == crc32 && stage.num_filter_bytes == num_filter_bytes) return &stage;
  }
  return nullptr;
}

}  // namespace

// These stand first: strings that others use too come with them.
void* InitKnownPatchStage(TfLiteContext* context, const char*, size_t) {
  return AllocateOpData<OpData>(context, kOp);
}

TfLiteStatus PrepareKnownPatchStage(TfLiteContext* context, TfLiteNode* node,
                                    const Kernels& kernels, const KnownStages& known) {
  auto* data = static_cast<OpData*>(node->user_data);
  if (data == nullptr) return kTfLiteError;  // Init has said why
  const KnownStage* stage = FindStage(context, node, known);
  if (stage == nullptr) {
    ReportError(context, "%s: the model is not the one that this program was built for", kOp);
    return kTfLiteError;
  }
  SetHeader(stage->header, data);
  const PatchStageParams params =
      ParamsOfPatchStage(stage->header, InputWords(context, node, ProgramOf(node)),
                         InputBytes(context, node, FiltersOf(node)));
  if (!HasReader(params)) {
    ReportError(context, "%s: %s", kOp, kNeedsReader);
    return kTfLiteError;
  }
  return RequestScratch(context, ScratchBytes(params, kernels), &data->scratch_index);
}

void* InitPatchStage(TfLiteContext* context, const char* buffer, size_t length) {
  auto* data = AllocateOpData<OpData>(context, kOp);
  if (data == nullptr) return nullptr;
  OptionReader options(context, kOp, buffer, length);
  data->tile_height = ReadExtent(&options, "tile_height", 1);
  data->tile_width = ReadExtent(&options, "tile_width", 1);
  data->cache_mode = static_cast<int8_t>(options.Choice("cache_mode", kCacheModes, 4));
  data->primed = static_cast<int8_t>(options.Int("primed", kNotPrimed, kRowsPrimed));
  data->num_ops = static_cast<int8_t>(options.Int("num_ops", 1, kMaxStageMaps - 1));
  data->num_maps = static_cast<int8_t>(options.Int("num_maps", 2, kMaxStageMaps));
  data->num_classes = options.Int("num_classes", 1, INT32_MAX);
  data->outlier_low = static_cast<int8_t>(options.Int("outlier_low", -128, 127));
  data->outlier_high = static_cast<int8_t>(options.Int("outlier_high", -128, 127));
  data->outlier_share = options.Int("outlier_share", 0, 65536);
  const int32_t num_inputs = options.OptionalInt("num_inputs", 1, kMaxStageInputs, 1);
  options.ExpectEqual("num_maps", data->num_maps, "num_ops + num_inputs",
                      data->num_ops + num_inputs);
  // Places of the format that no kernel fills yet: their default alone.
  options.OptionalInt("num_outputs", 1, 1, 1);
  options.OptionalInt("span_tables", 0, 0, 0);
  options.Remark("ops");
  options.Remark("tile_grid");
  return options.Finish() ? data : nullptr;
}

TfLiteStatus PreparePatchStage(TfLiteContext* context, TfLiteNode* node, const Kernels& kernels) {
  auto* data = static_cast<OpData*>(node->user_data);
  if (data == nullptr) return kTfLiteError;  // Init has said why
  PatchStageParams params = {};
  const int32_t num_inputs = NumStageInputs(HeaderOf(*data));
  NodeChecker checker(context, node, kOp, num_inputs + kNumConstants, /*num_optional=*/1);
  if (!ReadProgram(context, node, kernels, &checker, &params)) return kTfLiteError;
  checker.Require((node->inputs->data[kInput] < 0) == IsStreamed(params),
                  "input 0 must be left out if the program streams X, and only then");
  checker.Require(HasReader(params), kNeedsReader);
  for (int32_t m = IsStreamed(params) ? 1 : 0; m < num_inputs; ++m) {
    checker.InputMap(m, MapInProgram(params, m));
  }
  checker.OutputMap(MapInProgram(params, params.header.num_maps - 1));
  if (checker.status() != kTfLiteOk) return checker.status();
  return RequestScratch(context, ScratchBytes(params, kernels), &data->scratch_index);
}

TfLiteStatus EvalPatchStage(TfLiteContext* context, TfLiteNode* node, const Kernels& kernels) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  const PatchStageParams params =
      ParamsOfPatchStage(HeaderOf(data), InputWords(context, node, ProgramOf(node)),
                         InputBytes(context, node, FiltersOf(node)));
  const uint8_t* others[kMaxStageInputs - 1];
  for (int32_t m = 1; m < NumStageInputs(params.header); ++m) {
    others[m - 1] = InputBytes(context, node, m);
  }
  const StageInput x = IsStreamed(params)
                           ? StageInput(GetInputReader(), &others[0])
                           : StageInput(InputBytes(context, node, kInput), &others[0]);
  uint8_t* scratch = Scratch(context, data.scratch_index);
  uint8_t* y = OutputBytes(context, node);
  const Status status = PatchStageWithHook(params, kernels, x, scratch, y, GetHook(), /*op=*/-1);
  if (status == Status::kOk) return kTfLiteOk;
  ReportError(context, "%s: %s", kOp,
              status == Status::kReaderFailed ? "the input reader failed"
                                              : "the hook stopped the inference");
  return kTfLiteError;
}

const TFLMRegistration* Register_QMCU_PATCH_STAGE() {
  return RegisterPatchStage<kernels::kKernels>();
}

}  // namespace quantmcu
