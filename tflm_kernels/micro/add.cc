// QMCU_ADD: input0, input1 -> output (docs/format.md F3).
#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/micro/hook.h"
#include "tflm_kernels/micro/node.h"
#include "tflm_kernels/micro/options.h"
#include "tflm_kernels/micro/register.h"
#include "tflm_kernels/micro/register_on.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace {

constexpr char kOp[] = "QMCU_ADD";

// Which pixel of an input meets the output's first one.
struct Corner {
  int16_t top;
  int16_t left;
};

struct OpData {
  int32_t channels;
  int32_t multipliers[3];  // of input 0, input 1 and the output
  Corner corners[2];
  int32_t input0_shift : 6;
  int32_t input1_shift : 6;
  int32_t output_shift : 6;
  uint32_t input0_width : 2;  // 2, 4 and 8 bits as 0, 1 and 2
  uint32_t input1_width : 2;
  uint32_t output_width : 2;
  int32_t output_zero_point : 8;
  int8_t input0_zero_point;
  int8_t input1_zero_point;
  NarrowClamp clamp;
};
static_assert(sizeof(OpData) == 32, "TFLM would round up to 48");

uint32_t WidthOf(const NarrowFormat& format) {
  return format.bits == 8 ? 2u : static_cast<uint32_t>(format.bits >> 2) & 3u;
}

NarrowFormat FormatOf(uint32_t width, int32_t zero_point) {
  return {static_cast<int8_t>(2 << width), static_cast<int8_t>(zero_point)};
}

// Bit-fields have no address to read into.
void ReadFormats(OptionReader* options, OpData* data) {
  const NarrowFormat input0 = ReadFormat(options, "input0_bits", "input0_zero_point");
  const NarrowFormat input1 = ReadFormat(options, "input1_bits", "input1_zero_point");
  NarrowFormat output;
  options->ExpectEqual("channels", data->channels, "output_channels",
                       ReadOutput(options, &output, &data->clamp));
  data->input0_width = WidthOf(input0) & 3u;
  data->input1_width = WidthOf(input1) & 3u;
  data->output_width = WidthOf(output) & 3u;
  data->input0_zero_point = input0.zero_point;
  data->input1_zero_point = input1.zero_point;
  data->output_zero_point = output.zero_point;
}

void ReadMultipliers(OptionReader* options, OpData* data) {
  int8_t shifts[3];
  ReadFixedPoint(options, "input0_multiplier", "input0_shift", &data->multipliers[0], &shifts[0]);
  ReadFixedPoint(options, "input1_multiplier", "input1_shift", &data->multipliers[1], &shifts[1]);
  ReadFixedPoint(options, "output_multiplier", "output_shift", &data->multipliers[2], &shifts[2]);
  data->input0_shift = shifts[0];
  data->input1_shift = shifts[1];
  data->output_shift = shifts[2];
}

Corner ReadCorner(OptionReader* options, const char* top_key, const char* left_key) {
  return {ReadExtent(options, top_key, 0), ReadExtent(options, left_key, 0)};
}

AddParams ParamsOf(const TfLiteContext* context, const TfLiteNode* node) {
  const auto& data = *static_cast<const OpData*>(node->user_data);
  return {
      InputMap(context, node, 0, data.channels,
               FormatOf(data.input0_width, data.input0_zero_point)),
      InputMap(context, node, 1, data.channels,
               FormatOf(data.input1_width, data.input1_zero_point)),
      OutputMap(context, node, data.channels, FormatOf(data.output_width, data.output_zero_point)),
      Widened(data.clamp),
      {{data.multipliers[0], data.input0_shift},
       {data.multipliers[1], data.input1_shift},
       {data.multipliers[2], data.output_shift}}};
}

bool Covers(const FeatureMap& input, const Corner& corner, const FeatureMap& output) {
  return corner.top + output.height <= input.height && corner.left + output.width <= input.width;
}

const uint8_t* PixelAt(const uint8_t* map_bytes, const FeatureMap& map, const Corner& corner) {
  return map_bytes + PixelOffset(map, corner.top, corner.left);
}

}  // namespace

template <>
void* AddOp::Init(TfLiteContext* context, const char* buffer, size_t length) {
  auto* data = AllocateOpData<OpData>(context, kOp);
  if (data == nullptr) return nullptr;
  OptionReader options(context, kOp, buffer, length);
  data->channels = ReadChannels(&options, "channels");
  ReadFormats(&options, data);
  data->corners[0] = ReadCorner(&options, "input0_top", "input0_left");
  data->corners[1] = ReadCorner(&options, "input1_top", "input1_left");
  ReadMultipliers(&options, data);
  return options.Finish() ? data : nullptr;
}

template <>
TfLiteStatus AddOp::Prepare(TfLiteContext* context, TfLiteNode* node) {
  const auto* data = static_cast<const OpData*>(node->user_data);
  if (data == nullptr) return kTfLiteError;  // Init has said why
  NodeChecker checker(context, node, kOp, 2);
  if (checker.status() != kTfLiteOk) return checker.status();
  const AddParams params = ParamsOf(context, node);
  checker.InputMap(0, params.input0);
  checker.InputMap(1, params.input1);
  checker.OutputMap(params.output);
  if (checker.status() != kTfLiteOk) return checker.status();
  checker.Require(Covers(params.input0, data->corners[0], params.output),
                  "input 0 must cover the output from (input0_top, input0_left)");
  checker.Require(Covers(params.input1, data->corners[1], params.output),
                  "input 1 must cover the output from (input1_top, input1_left)");
  return checker.status();
}

template <>
TfLiteStatus AddOp::Eval(TfLiteContext* context, TfLiteNode* node, Kernel* kernel) {
  const Corner* corners = static_cast<const OpData*>(node->user_data)->corners;
  const AddParams params = ParamsOf(context, node);
  kernel(params, PixelAt(InputBytes(context, node, 0), params.input0, corners[0]),
         PixelAt(InputBytes(context, node, 1), params.input1, corners[1]),
         OutputBytes(context, node));
  return kTfLiteOk;
}

const TFLMRegistration* Register_QMCU_ADD() { return RegisterOn<AddOp, kernels::Add>(); }

}  // namespace quantmcu
