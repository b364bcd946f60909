// QMCU_LUT: input, table -> output (docs/format.md F3).
#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/micro/hook.h"
#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/options.h"
#include "tflm_kernels/micro/register.h"

namespace quantmcu {
namespace {

constexpr char kOp[] = "QMCU_LUT";
constexpr int kInput = 0;
constexpr int kTable = 1;

struct OpData {
  int32_t channels;
  int16_t pad_top;
  int16_t pad_left;
  NarrowFormat input;
  NarrowFormat output;
  NarrowClamp clamp;
};

void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  auto* data = AllocateOpData<OpData>(context, kOp);
  if (data == nullptr) return nullptr;
  OptionReader options(context, kOp, buffer, length);
  data->channels = ReadEnds(&options, &data->input, &data->output, &data->clamp);
  ReadPads(&options, &data->pad_top, &data->pad_left);
  return options.Finish() ? data : nullptr;
}

LutParams ParamsOf(const TfLiteContext* context, const TfLiteNode* node) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  return {InputMap(context, node, kInput, data.channels, data.input),
          OutputMap(context, node, data.channels, data.output), data.pad_top, data.pad_left};
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  if (node->user_data == nullptr) return kTfLiteError;  // Init has said why
  const auto& data = *static_cast<const OpData*>(node->user_data);
  NodeChecker checker(context, node, kOp, 2);
  if (checker.status() != kTfLiteOk) return checker.status();
  const LutParams params = ParamsOf(context, node);
  checker.InputMap(kInput, params.input);
  checker.OutputMap(params.output);
  checker.Lut(kTable, params.input.bits, Widened(data.clamp));
  return checker.status();
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  kernels::Lut(ParamsOf(context, node), InputBytes(context, node, kInput),
               InputBytes(context, node, kTable), OutputBytes(context, node));
  return kTfLiteOk;
}

}  // namespace

const TFLMRegistration* Register_QMCU_LUT() {
  static const TFLMRegistration registration = {Init,    nullptr, Prepare, EvalWithHook<Eval>,
                                                nullptr, 0,       nullptr};
  return &registration;
}

}  // namespace quantmcu
