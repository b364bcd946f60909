// QMCU_ADD: input0, input1 -> output (docs/format.md F3).
#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/options.h"
#include "tflm_kernels/micro/register.h"
#include "tflm_kernels/portable/limits.h"

namespace quantmcu {
namespace {

constexpr char kOp[] = "QMCU_ADD";

// Which pixel of an input meets the output's first one.
struct Corner {
  int32_t top;
  int32_t left;
};

struct OpData {
  AddParams params;
  Corner corners[2];
};

Corner ReadCorner(OptionReader* options, const char* top_key, const char* left_key) {
  return {options->Int(top_key, 0, kMaxExtent), options->Int(left_key, 0, kMaxExtent)};
}

void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  auto* data = AllocateOpData<OpData>(context, kOp);
  if (data == nullptr) return nullptr;
  AddParams& params = data->params;
  OptionReader options(context, kOp, buffer, length);
  const int32_t channels = ReadChannels(&options, "channels");
  params.input0.channels = channels;
  params.input1.channels = channels;
  ReadFormat(&options, "input0_bits", "input0_zero_point", &params.input0);
  ReadFormat(&options, "input1_bits", "input1_zero_point", &params.input1);
  ReadOutput(&options, &params.output, &params.clamp);
  options.ExpectEqual("channels", channels, "output_channels", params.output.channels);
  data->corners[0] = ReadCorner(&options, "input0_top", "input0_left");
  data->corners[1] = ReadCorner(&options, "input1_top", "input1_left");
  params.multipliers = {ReadFixedPoint(&options, "input0_multiplier", "input0_shift"),
                        ReadFixedPoint(&options, "input1_multiplier", "input1_shift"),
                        ReadFixedPoint(&options, "output_multiplier", "output_shift")};
  return options.Finish() ? data : nullptr;
}

bool Covers(const FeatureMap& input, const Corner& corner, const FeatureMap& output) {
  return corner.top + output.height <= input.height && corner.left + output.width <= input.width;
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  auto* data = static_cast<OpData*>(node->user_data);
  if (data == nullptr) return kTfLiteError;  // Init has said why
  AddParams& params = data->params;
  NodeChecker checker(context, node, kOp, 2);
  checker.InputMap(0, &params.input0);
  checker.InputMap(1, &params.input1);
  checker.OutputMap(&params.output);
  if (checker.status() != kTfLiteOk) return checker.status();
  checker.Require(Covers(params.input0, data->corners[0], params.output),
                  "input 0 must cover the output from (input0_top, input0_left)");
  checker.Require(Covers(params.input1, data->corners[1], params.output),
                  "input 1 must cover the output from (input1_top, input1_left)");
  return checker.status();
}

const uint8_t* PixelAt(const uint8_t* map_bytes, const FeatureMap& map, const Corner& corner) {
  return map_bytes + PixelOffset(map, corner.top, corner.left);
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  kernels::Add(data.params,
               PixelAt(InputBytes(context, node, 0), data.params.input0, data.corners[0]),
               PixelAt(InputBytes(context, node, 1), data.params.input1, data.corners[1]),
               OutputBytes(context, node));
  return kTfLiteOk;
}

}  // namespace

const TFLMRegistration* Register_QMCU_ADD() {
  static const TFLMRegistration registration = {Init, nullptr, Prepare, Eval, nullptr, 0, nullptr};
  return &registration;
}

}  // namespace quantmcu
