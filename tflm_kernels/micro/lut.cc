// QMCU_LUT and QMCU_CHANNEL_LUT: input, table -> output (docs/format.md F3).
#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/micro/hook.h"
#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/options.h"
#include "tflm_kernels/micro/register.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace {

// As registered: with one table, or with one a channel.
constexpr const char* OpName(bool has_tables) {
  return has_tables ? "QMCU_CHANNEL_LUT" : "QMCU_LUT";
}
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

template <bool kHasTables>
void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  constexpr const char* kOp = OpName(kHasTables);
  auto* data = AllocateOpData<OpData>(context, kOp);
  if (data == nullptr) return nullptr;
  OptionReader options(context, kOp, buffer, length);
  data->channels = ReadEnds(&options, &data->input, &data->output, &data->clamp);
  ReadPads(&options, &data->pad_top, &data->pad_left);
  return options.Finish() ? data : nullptr;
}

template <bool kHasTables>
LutParams ParamsOf(const TfLiteContext* context, const TfLiteNode* node) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  return {InputMap(context, node, kInput, data.channels, data.input),
          OutputMap(context, node, data.channels, data.output), data.pad_top, data.pad_left,
          kHasTables ? NumLutEntries(data.input.bits) : 0};
}

template <bool kHasTables>
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  if (node->user_data == nullptr) return kTfLiteError;  // Init has said why
  const auto& data = *static_cast<const OpData*>(node->user_data);
  NodeChecker checker(context, node, OpName(kHasTables), 2);
  if (checker.status() != kTfLiteOk) return checker.status();
  const LutParams params = ParamsOf<kHasTables>(context, node);
  checker.InputMap(kInput, params.input);
  checker.OutputMap(params.output);
  const int32_t num_tables = kHasTables ? data.channels : 1;
  checker.Lut(kTable, num_tables * NumLutEntries(params.input.bits), Widened(data.clamp));
  return checker.status();
}

template <bool kHasTables>
TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  kernels::Lut(ParamsOf<kHasTables>(context, node), InputBytes(context, node, kInput),
               InputBytes(context, node, kTable), OutputBytes(context, node));
  return kTfLiteOk;
}

}  // namespace

const TFLMRegistration* Register_QMCU_LUT() {
  static const TFLMRegistration registration = {
      Init<false>, nullptr, Prepare<false>, EvalWithHook<Eval<false>>, nullptr, 0, nullptr};
  return &registration;
}

const TFLMRegistration* Register_QMCU_CHANNEL_LUT() {
  static const TFLMRegistration registration = {
      Init<true>, nullptr, Prepare<true>, EvalWithHook<Eval<true>>, nullptr, 0, nullptr};
  return &registration;
}

}  // namespace quantmcu
