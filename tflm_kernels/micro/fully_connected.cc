// QMCU_FULLY_CONNECTED: input, filter, table -> output (docs/format.md F3).
#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/options.h"
#include "tflm_kernels/micro/register.h"

namespace quantmcu {
namespace {

constexpr char kOp[] = "QMCU_FULLY_CONNECTED";
constexpr int kInput = 0;
constexpr int kFilter = 1;
constexpr int kTable = 2;

struct OpData {
  int32_t input_channels;
  int32_t output_channels;
  int scratch_index;
  NarrowFormat input;
  NarrowFormat output;
  NarrowClamp clamp;
  int8_t weight_bits;
};

void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  auto* data = AllocateOpData<OpData>(context, kOp);
  if (data == nullptr) return nullptr;
  OptionReader options(context, kOp, buffer, length);
  data->input_channels = ReadInput(&options, &data->input);
  data->output_channels = ReadOutput(&options, &data->output, &data->clamp);
  data->weight_bits = static_cast<int8_t>(options.Bits("weight_bits"));
  return options.Finish() ? data : nullptr;
}

// A map of one pixel, whatever the tensor's rank.
FeatureMap VectorOf(int32_t channels, const NarrowFormat& format) {
  return {1, 1, channels, RunBytes(channels, format.bits), format.bits, format.zero_point};
}

FullyConnectedParams ParamsOf(const OpData& data) {
  return {VectorOf(data.input_channels, data.input), VectorOf(data.output_channels, data.output),
          Widened(data.clamp), data.weight_bits};
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  auto* data = static_cast<OpData*>(node->user_data);
  if (data == nullptr) return kTfLiteError;  // Init has said why
  const FullyConnectedParams params = ParamsOf(*data);
  const FeatureMap& input = params.input;
  const FeatureMap& output = params.output;
  NodeChecker checker(context, node, kOp, 3);
  checker.InputVector(kInput, input);
  checker.OutputVector(output);
  checker.Filter(kFilter, output.channels, RunBytes(input.channels, params.weight_bits));
  checker.Table(kTable, output.channels, input.channels, input.bits, params.weight_bits);
  if (checker.status() != kTfLiteOk) return checker.status();
  return RequestScratch(context, kernels::FullyConnectedScratchBytes(params), &data->scratch_index);
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  const FullyConnectedParams params = ParamsOf(data);
  const int32_t* table = InputWords(context, node, kTable);
  kernels::FullyConnected(params, InputBytes(context, node, kInput),
                          InputBytes(context, node, kFilter), table, table + data.output_channels,
                          table + 2 * data.output_channels, OutputBytes(context, node),
                          Scratch(context, data.scratch_index));
  return kTfLiteOk;
}

}  // namespace

const TFLMRegistration* Register_QMCU_FULLY_CONNECTED() {
  static const TFLMRegistration registration = {Init, nullptr, Prepare, Eval, nullptr, 0, nullptr};
  return &registration;
}

}  // namespace quantmcu
