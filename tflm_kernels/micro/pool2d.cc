#include "tflm_kernels/micro/pool2d.h"

#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/options.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {

namespace {

struct OpData {
  int32_t channels;
  int32_t multiplier;
  NarrowWindow window;
  NarrowFormat input;
  NarrowFormat output;
  NarrowClamp clamp;
  int8_t shift;
};

}  // namespace

void* InitPool2D(TfLiteContext* context, const char* op, const char* buffer, size_t length) {
  auto* data = AllocateOpData<OpData>(context, op);
  if (data == nullptr) return nullptr;
  OptionReader options(context, op, buffer, length);
  data->channels = ReadEnds(&options, &data->input, &data->output, &data->clamp);
  data->window = ReadPoolWindow(&options);
  ReadFixedPoint(&options, "multiplier", "shift", &data->multiplier, &data->shift);
  return options.Finish() ? data : nullptr;
}

TfLiteStatus PreparePool2D(TfLiteContext* context, const char* op, TfLiteNode* node) {
  if (node->user_data == nullptr) return kTfLiteError;  // InitPool2D has said why
  NodeChecker checker(context, node, op, 1);
  if (checker.status() != kTfLiteOk) return checker.status();
  const Pool2DParams params = ParamsOfPool2D(context, node);
  checker.InputMap(0, params.input);
  checker.OutputMap(params.output);
  if (checker.status() != kTfLiteOk) return checker.status();
  checker.Require(PoolWindowFits(params.window, params.input.height, params.input.width,
                                 params.output.height, params.output.width),
                  "every window must reach into the input and have at most 2^23 taps");
  return checker.status();
}

Pool2DParams ParamsOfPool2D(const TfLiteContext* context, const TfLiteNode* node) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  return {InputMap(context, node, 0, data.channels, data.input),
          OutputMap(context, node, data.channels, data.output),
          Widened(data.window),
          Widened(data.clamp),
          {data.multiplier, data.shift}};
}

}  // namespace quantmcu
