// QMCU_DEPTHWISE_CONV_2D: input, filter, table -> output (docs/format.md F3).
#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/options.h"
#include "tflm_kernels/micro/register.h"
#include "tflm_kernels/portable/limits.h"

namespace quantmcu {
namespace {

constexpr char kOp[] = "QMCU_DEPTHWISE_CONV_2D";
constexpr int kInput = 0;
constexpr int kFilter = 1;
constexpr int kTable = 2;

struct OpData {
  DepthwiseConv2DParams params;
  int scratch_index;
};

void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  auto* data = AllocateOpData<OpData>(context, kOp);
  if (data == nullptr) return nullptr;
  DepthwiseConv2DParams* params = &data->params;
  OptionReader options(context, kOp, buffer, length);
  ReadInput(&options, &params->input);
  ReadOutput(&options, &params->output, &params->clamp);
  ReadWindow(&options, &params->window);
  params->weight_bits = options.Bits("weight_bits");
  params->depth_multiplier = ReadChannels(&options, "depth_multiplier");
  return options.Finish() ? data : nullptr;
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  auto* data = static_cast<OpData*>(node->user_data);
  if (data == nullptr) return kTfLiteError;  // Init has said why
  DepthwiseConv2DParams* params = &data->params;
  FeatureMap& input = params->input;
  FeatureMap& output = params->output;
  const int64_t taps = SaturatingProduct(params->window.kernel_height, params->window.kernel_width);
  NodeChecker checker(context, node, kOp, 3);
  checker.Require(SaturatingProduct(input.channels, params->depth_multiplier) == output.channels,
                  "output_channels must be input_channels times depth_multiplier");
  checker.InputMap(kInput, &input);
  checker.OutputMap(&output);
  checker.Filter(kFilter, taps, RunBytes(output.channels, params->weight_bits));
  checker.Table(kTable, output.channels, taps, input.bits, params->weight_bits);
  if (checker.status() != kTfLiteOk) return checker.status();
  return RequestScratch(context, kernels::DepthwiseConv2DScratchBytes(*params),
                        &data->scratch_index);
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  const int32_t* table = InputWords(context, node, kTable);
  const int32_t channels = data.params.output.channels;
  kernels::DepthwiseConv2D(data.params, InputBytes(context, node, kInput),
                           InputBytes(context, node, kFilter), table, table + channels,
                           table + 2 * channels, OutputBytes(context, node),
                           Scratch(context, data.scratch_index));
  return kTfLiteOk;
}

}  // namespace

const TFLMRegistration* Register_QMCU_DEPTHWISE_CONV_2D() {
  static const TFLMRegistration registration = {Init, nullptr, Prepare, Eval, nullptr, 0, nullptr};
  return &registration;
}

}  // namespace quantmcu
