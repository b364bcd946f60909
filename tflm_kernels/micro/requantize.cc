// QMCU_REQUANTIZE: input -> output (docs/format.md F3).
#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/options.h"
#include "tflm_kernels/micro/register.h"

namespace quantmcu {
namespace {

constexpr char kOp[] = "QMCU_REQUANTIZE";

void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  auto* params = AllocateOpData<RequantizeParams>(context, kOp);
  if (params == nullptr) return nullptr;
  OptionReader options(context, kOp, buffer, length);
  ReadInput(&options, &params->input);
  ReadOutput(&options, &params->output, &params->clamp);
  options.ExpectEqual("input_channels", params->input.channels, "output_channels",
                      params->output.channels);
  ReadPads(&options, &params->pad_top, &params->pad_left);
  params->multiplier = ReadFixedPoint(&options, "multiplier", "shift");
  return options.Finish() ? params : nullptr;
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  auto* params = static_cast<RequantizeParams*>(node->user_data);
  if (params == nullptr) return kTfLiteError;  // Init has said why
  NodeChecker checker(context, node, kOp, 1);
  checker.InputMap(0, &params->input);
  checker.OutputMap(&params->output);
  return checker.status();
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  const auto& params = *static_cast<const RequantizeParams*>(node->user_data);
  kernels::Requantize(params, InputBytes(context, node, 0), OutputBytes(context, node));
  return kTfLiteOk;
}

}  // namespace

const TFLMRegistration* Register_QMCU_REQUANTIZE() {
  static const TFLMRegistration registration = {Init, nullptr, Prepare, Eval, nullptr, 0, nullptr};
  return &registration;
}

}  // namespace quantmcu
