// QMCU_CONV_2D: input, filter, table -> output (docs/format.md F3).
#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/micro/filter_op.h"
#include "tflm_kernels/micro/hook.h"
#include "tflm_kernels/micro/register.h"
#include "tflm_kernels/micro/register_on.h"
#include "tflm_kernels/micro/scratch.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace {

constexpr char kOp[] = "QMCU_CONV_2D";

struct OpData : FilterOpData {
  NarrowWindow window;
};

Conv2DParams ParamsOf(const TfLiteContext* context, const TfLiteNode* node) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  return {InputMap(context, node, kInput, data.input_channels, data.input()),
          OutputMap(context, node, data.output_channels, data.output()), Widened(data.window),
          Widened(data.clamp), data.weight_bits};
}

}  // namespace

template <>
void* Conv2DOp::Init(TfLiteContext* context, const char* buffer, size_t length) {
  auto* data = AllocateOpData<OpData>(context, kOp);
  if (data == nullptr) return nullptr;
  OptionReader options(context, kOp, buffer, length);
  ReadFilterOp(&options, data);
  data->window = ReadWindow(&options);
  return options.Finish() ? data : nullptr;
}

template <>
TfLiteStatus Conv2DOp::Prepare(TfLiteContext* context, TfLiteNode* node) {
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
  return RequestScratch(context, ScratchBytes(params), &data->scratch_index);
}

template <>
TfLiteStatus Conv2DOp::Eval(TfLiteContext* context, TfLiteNode* node, Kernel* kernel) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  return RunFilterOp(context, node, data, kernel, ParamsOf(context, node));
}

const TFLMRegistration* Register_QMCU_CONV_2D() { return RegisterOn<Conv2DOp, kernels::Conv2D>(); }

}  // namespace quantmcu
