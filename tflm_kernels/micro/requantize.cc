// QMCU_REQUANTIZE: input -> output (docs/format.md F3).
#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/micro/hook.h"
#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/options.h"
#include "tflm_kernels/micro/register.h"

namespace quantmcu {
namespace {

constexpr char kOp[] = "QMCU_REQUANTIZE";

struct OpData {
  int32_t channels;
  int32_t multiplier;
  int16_t pad_top;
  int16_t pad_left;
  NarrowFormat input;
  NarrowFormat output;
  NarrowClamp clamp;
  int8_t shift;
};

void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  auto* data = AllocateOpData<OpData>(context, kOp);
  if (data == nullptr) return nullptr;
  OptionReader options(context, kOp, buffer, length);
  data->channels = ReadEnds(&options, &data->input, &data->output, &data->clamp);
  ReadPads(&options, &data->pad_top, &data->pad_left);
  ReadFixedPoint(&options, "multiplier", "shift", &data->multiplier, &data->shift);
  return options.Finish() ? data : nullptr;
}

RequantizeParams ParamsOf(const TfLiteContext* context, const TfLiteNode* node) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  return {InputMap(context, node, 0, data.channels, data.input),
          OutputMap(context, node, data.channels, data.output),
          data.pad_top,
          data.pad_left,
          Widened(data.clamp),
          {data.multiplier, data.shift}};
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  if (node->user_data == nullptr) return kTfLiteError;  // Init has said why
  NodeChecker checker(context, node, kOp, 1);
  if (checker.status() != kTfLiteOk) return checker.status();
  const RequantizeParams params = ParamsOf(context, node);
  checker.InputMap(0, params.input);
  checker.OutputMap(params.output);
  return checker.status();
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  kernels::Requantize(ParamsOf(context, node), InputBytes(context, node, 0),
                      OutputBytes(context, node));
  return kTfLiteOk;
}

}  // namespace

const TFLMRegistration* Register_QMCU_REQUANTIZE() {
  static const TFLMRegistration registration = {Init,    nullptr, Prepare, EvalWithHook<Eval>,
                                                nullptr, 0,       nullptr};
  return &registration;
}

}  // namespace quantmcu
