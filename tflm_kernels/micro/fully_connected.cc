// QMCU_FULLY_CONNECTED: input, filter, table -> output (docs/format.md F3).
#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/micro/filter_op.h"
#include "tflm_kernels/micro/hook.h"
#include "tflm_kernels/micro/register.h"
#include "tflm_kernels/micro/register_on.h"
#include "tflm_kernels/micro/scratch.h"

namespace quantmcu {
namespace {

constexpr char kOp[] = "QMCU_FULLY_CONNECTED";

using OpData = FilterOpData;

// A map of one pixel, whatever the tensor's rank.
FeatureMap VectorOf(int32_t channels, const NarrowFormat& format) {
  return {1, 1, channels, RunBytes(channels, format.bits), format.bits, format.zero_point};
}

FullyConnectedParams ParamsOf(const OpData& data) {
  return {VectorOf(data.input_channels, data.input()),
          VectorOf(data.output_channels, data.output()), Widened(data.clamp), data.weight_bits};
}

}  // namespace

template <>
void* FullyConnectedOp::Init(TfLiteContext* context, const char* buffer, size_t length) {
  auto* data = AllocateOpData<OpData>(context, kOp);
  if (data == nullptr) return nullptr;
  OptionReader options(context, kOp, buffer, length);
  ReadFilterOp(&options, data);
  return options.Finish() ? data : nullptr;
}

template <>
TfLiteStatus FullyConnectedOp::Prepare(TfLiteContext* context, TfLiteNode* node) {
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
  return RequestScratch(context, ScratchBytes(params), &data->scratch_index);
}

template <>
TfLiteStatus FullyConnectedOp::Eval(TfLiteContext* context, TfLiteNode* node, Kernel* kernel) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  return RunFilterOp(context, node, data, kernel, ParamsOf(data));
}

const TFLMRegistration* Register_QMCU_FULLY_CONNECTED() {
  return RegisterOn<FullyConnectedOp, kernels::FullyConnected>();
}

}  // namespace quantmcu
