// QMCU_FULLY_CONNECTED: input, filter, table -> output (docs/format.md F3).
#include "tflm_kernels/portable/fully_connected.h"

#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/options.h"
#include "tflm_kernels/micro/register.h"

namespace quantmcu {
namespace {

constexpr char kOp[] = "QMCU_FULLY_CONNECTED";
constexpr int kInput = 0;
constexpr int kFilter = 1;
constexpr int kTable = 2;

void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  auto* params = AllocateOpData<FullyConnectedParams>(context, kOp);
  if (params == nullptr) return nullptr;
  OptionReader options(context, kOp, buffer, length);
  ReadInput(&options, &params->input);
  ReadOutput(&options, &params->output, &params->clamp);
  params->weight_bits = options.Bits("weight_bits");
  return options.Finish() ? params : nullptr;
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  auto* params = static_cast<FullyConnectedParams*>(node->user_data);
  if (params == nullptr) return kTfLiteError;  // Init has said why
  FeatureMap& input = params->input;
  FeatureMap& output = params->output;
  NodeChecker checker(context, node, kOp, 3);
  checker.InputVector(kInput, &input);
  checker.OutputVector(&output);
  checker.Filter(kFilter, output.channels, RunBytes(input.channels, params->weight_bits));
  checker.Table(kTable, output.channels, input.channels, input.bits, params->weight_bits);
  return checker.status();
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  const auto& params = *static_cast<const FullyConnectedParams*>(node->user_data);
  const int32_t* table = InputWords(context, node, kTable);
  const int32_t channels = params.output.channels;
  reference::FullyConnected(params, InputBytes(context, node, kInput),
                            InputBytes(context, node, kFilter), table, table + channels,
                            table + 2 * channels, OutputBytes(context, node));
  return kTfLiteOk;
}

}  // namespace

const TFLMRegistration* Register_QMCU_FULLY_CONNECTED() {
  static const TFLMRegistration registration = {Init, nullptr, Prepare, Eval, nullptr, 0, nullptr};
  return &registration;
}

}  // namespace quantmcu
