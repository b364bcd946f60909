// QMCU_CONV_2D: input, filter, table -> output (docs/format.md F3).
#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/options.h"
#include "tflm_kernels/micro/register.h"
#include "tflm_kernels/portable/limits.h"

namespace quantmcu {
namespace {

constexpr char kOp[] = "QMCU_CONV_2D";
constexpr int kInput = 0;
constexpr int kFilter = 1;
constexpr int kTable = 2;

struct OpData {
  int32_t input_channels;
  int32_t output_channels;
  int scratch_index;
  NarrowWindow window;
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
  data->window = ReadWindow(&options);
  data->weight_bits = static_cast<int8_t>(options.Bits("weight_bits"));
  return options.Finish() ? data : nullptr;
}

Conv2DParams ParamsOf(const TfLiteContext* context, const TfLiteNode* node) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  return {InputMap(context, node, kInput, data.input_channels, data.input),
          OutputMap(context, node, data.output_channels, data.output), Widened(data.window),
          Widened(data.clamp), data.weight_bits};
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  auto* data = static_cast<OpData*>(node->user_data);
  if (data == nullptr) return kTfLiteError;  // Init has said why
  NodeChecker checker(context, node, kOp, 3);
  if (checker.status() != kTfLiteOk) return checker.status();
  const Conv2DParams params = ParamsOf(context, node);
  const FeatureMap& input = params.input;
  const FeatureMap& output = params.output;
  const int64_t taps = SaturatingProduct(params.window.kernel_height, params.window.kernel_width);
  checker.InputMap(kInput, input);
  checker.OutputMap(output);
  checker.Filter(kFilter, SaturatingProduct(output.channels, taps),
                 RunBytes(input.channels, params.weight_bits));
  checker.Table(kTable, output.channels, SaturatingProduct(taps, input.channels), input.bits,
                params.weight_bits);
  if (checker.status() != kTfLiteOk) return checker.status();
  return RequestScratch(context, kernels::Conv2DScratchBytes(params), &data->scratch_index);
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  const Conv2DParams params = ParamsOf(context, node);
  const int32_t* table = InputWords(context, node, kTable);
  kernels::Conv2D(params, InputBytes(context, node, kInput), InputBytes(context, node, kFilter),
                  table, table + data.output_channels, table + 2 * data.output_channels,
                  OutputBytes(context, node), Scratch(context, data.scratch_index));
  return kTfLiteOk;
}

}  // namespace

const TFLMRegistration* Register_QMCU_CONV_2D() {
  static const TFLMRegistration registration = {Init, nullptr, Prepare, Eval, nullptr, 0, nullptr};
  return &registration;
}

}  // namespace quantmcu
