// CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED of TFLite on our kernels (fast_ops.h).
//
// TFLM keeps multipliers and shifts a channel; the bias stands in flash. Where it has one factor for all channels, or
// a model no bias, scratch holds a table for the time of a call.

#include <string.h>

#include "tensorflow/lite/micro/kernels/conv.h"
#include "tensorflow/lite/micro/kernels/depthwise_conv.h"
#include "tensorflow/lite/micro/kernels/fully_connected.h"
#include "tflm_kernels/micro/fast_ops.h"
#include "tflm_kernels/micro/fast_ops/fast_op.h"
#include "tflm_kernels/micro/scratch.h"

namespace quantmcu {
namespace {

using namespace tflm;  // NOLINT(build/namespaces)

constexpr int kInput = 0;
constexpr int kFilter = 1;
constexpr int kBias = 2;

// In filter_buffer_index, which TFLM's kernels use of 4-bit filters alone: a scratch buffer, or one of these.
constexpr int kNoScratch = -1;
constexpr int kIsTflms = -2;

struct FilterNode {
  const TfLiteEvalTensor* input;
  const TfLiteEvalTensor* filter;
  const TfLiteEvalTensor* bias;  // null where there is none
  TfLiteEvalTensor* output;
};

FilterNode TensorsOf(const TfLiteContext* context, const TfLiteNode* node) {
  const TfLiteIntArray& inputs = *node->inputs;
  const bool has_bias = inputs.size > kBias && inputs.data[kBias] >= 0;
  return {GetEvalTensor(context, inputs.data[kInput]), GetEvalTensor(context, inputs.data[kFilter]),
          has_bias ? GetEvalTensor(context, inputs.data[kBias]) : nullptr,
          GetEvalTensor(context, node->outputs->data[0])};
}

bool HasInt8Filter(const FilterNode& t) {
  return t.input->type == kTfLiteInt8 && t.filter->type == kTfLiteInt8 &&
         t.output->type == kTfLiteInt8 && t.filter->data.data != nullptr &&
         (t.bias == nullptr || (t.bias->type == kTfLiteInt32 && t.bias->data.data != nullptr));
}

// Asks for the kernel's scratch and, behind it, for a table of `num_words`.
template <typename Params>
TfLiteStatus RequestFastScratch(TfLiteContext* context, const Params& params, int32_t num_words,
                                int* index) {
  const size_t num_bytes = ScratchBytes(params) + sizeof(int32_t) * static_cast<size_t>(num_words);
  *index = kNoScratch;
  return num_bytes == 0 ? kTfLiteOk : RequestScratchBufferInArena(context, num_bytes, index);
}

uint8_t* FastScratch(TfLiteContext* context, int index) {
  return index == kNoScratch ? nullptr : static_cast<uint8_t*>(GetScratchBuffer(context, index));
}

const uint8_t* Bytes(const TfLiteEvalTensor& tensor) {
  return static_cast<const uint8_t*>(tensor.data.data);
}

const int32_t* BiasOr(const FilterNode& t, int32_t* zeros, int32_t num_channels) {
  if (t.bias != nullptr) return static_cast<const int32_t*>(t.bias->data.data);
  memset(zeros, 0, sizeof(int32_t) * static_cast<size_t>(num_channels));
  return zeros;
}

template <typename Params>
Window WindowOf(const Params& params, const OpDataConv& data, const TfLiteEvalTensor& filter) {
  return {filter.dims->data[1],          filter.dims->data[2],
          params.stride_height,          params.stride_width,
          params.dilation_height_factor, params.dilation_width_factor,
          data.padding.height,           data.padding.width};
}

bool IsWindowOurs(const Window& window) {
  for (const int32_t extent :
       {window.kernel_height, window.kernel_width, window.stride_height, window.stride_width,
        window.dilation_height, window.dilation_width}) {
    if (!InRange(extent, 1, kMaxExtent)) return false;
  }
  return true;
}

// What differs between the two convolutions.
struct Conv2DOp {
  using Params = Conv2DParams;
  using Options = TfLiteConvParams;
  static constexpr auto kKernel = kernels::Conv2D;
  static TFLMRegistration Tflms() { return Register_CONV_2D(); }
  static bool IsOurs(const FilterNode& t) {
    return t.filter->dims->data[3] == t.input->dims->data[3];
  }
  static Params ParamsOf(const FilterNode& t, const Options& options, const OpDataConv& data) {
    return {Int8Map(*t.input, data.input_zero_point),
            Int8Map(*t.output, data.output_zero_point),
            WindowOf(options, data, *t.filter),
            {data.output_activation_min, data.output_activation_max},
            8};
  }
};

struct DepthwiseConv2DOp {
  using Params = DepthwiseConv2DParams;
  using Options = TfLiteDepthwiseConvParams;
  static constexpr auto kKernel = kernels::DepthwiseConv2D;
  static TFLMRegistration Tflms() { return Register_DEPTHWISE_CONV_2D(); }
  static bool IsOurs(const FilterNode& t) {
    return t.filter->dims->data[0] == 1 && t.output->dims->data[3] % t.input->dims->data[3] == 0;
  }
  static Params ParamsOf(const FilterNode& t, const Options& options, const OpDataConv& data) {
    return {Int8Map(*t.input, data.input_zero_point),
            Int8Map(*t.output, data.output_zero_point),
            WindowOf(options, data, *t.filter),
            {data.output_activation_min, data.output_activation_max},
            8,
            t.output->dims->data[3] / t.input->dims->data[3]};
  }
};

template <typename Op>
TfLiteStatus PrepareConv(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteStatus status = Op::Tflms().prepare(context, node);
  if (status != kTfLiteOk) return status;
  const FilterNode t = TensorsOf(context, node);
  if (!HasInt8Filter(t)) return kTfLiteOk;
  auto* data = static_cast<OpDataConv*>(node->user_data);
  data->filter_buffer_index = kIsTflms;
  if (!IsInt8Map(*t.input) || !IsInt8Map(*t.output) || !Op::IsOurs(t)) return kTfLiteOk;
  const auto& options = *static_cast<const typename Op::Options*>(node->builtin_data);
  const typename Op::Params params = Op::ParamsOf(t, options, *data);
  if (!IsWindowOurs(params.window)) return kTfLiteOk;
  const int32_t num_zeros = t.bias == nullptr ? params.output.channels : 0;
  return RequestFastScratch(context, params, num_zeros, &data->filter_buffer_index);
}

template <typename Op>
TfLiteStatus EvalConv(TfLiteContext* context, TfLiteNode* node) {
  const FilterNode t = TensorsOf(context, node);
  const auto& data = *static_cast<const OpDataConv*>(node->user_data);
  if (!HasInt8Filter(t) || data.filter_buffer_index == kIsTflms) {
    return Op::Tflms().invoke(context, node);
  }
  const auto& options = *static_cast<const typename Op::Options*>(node->builtin_data);
  const typename Op::Params params = Op::ParamsOf(t, options, data);
  uint8_t* scratch = FastScratch(context, data.filter_buffer_index);
  auto* zeros = reinterpret_cast<int32_t*>(scratch + ScratchBytes(params));
  const ChannelTable table = {BiasOr(t, zeros, params.output.channels),
                              data.per_channel_output_multiplier, data.per_channel_output_shift};
  Op::kKernel(params, Bytes(*t.input), Bytes(*t.filter), table,
              static_cast<uint8_t*>(t.output->data.data), scratch);
  return kTfLiteOk;
}

FullyConnectedParams FullyConnectedParamsOf(const FilterNode& t, const OpDataFullyConnected& data) {
  const int* filter = t.filter->dims->data;
  return {Int8Run(filter[1], data.input_zero_point),
          Int8Run(filter[0], data.output_zero_point),
          {data.output_activation_min, data.output_activation_max},
          8};
}

TfLiteStatus PrepareFullyConnected(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteStatus status = Register_FULLY_CONNECTED().prepare(context, node);
  if (status != kTfLiteOk) return status;
  const FilterNode t = TensorsOf(context, node);
  if (!HasInt8Filter(t)) return kTfLiteOk;
  auto* data = static_cast<OpDataFullyConnected*>(node->user_data);
  data->filter_buffer_index = kIsTflms;
  const TfLiteIntArray& filter = *t.filter->dims;
  const bool is_ours =
      filter.size == 2 && data->filter_zero_point == 0 &&
      InRange(filter.data[0], 1, kMaxChannels) && InRange(filter.data[1], 1, kMaxChannels) &&
      NumElements(*t.input) == filter.data[1] && NumElements(*t.output) == filter.data[0];
  if (!is_ours) return kTfLiteOk;
  const int32_t num_rows = (t.bias == nullptr) + (data->is_per_channel ? 0 : 2);
  return RequestFastScratch(context, FullyConnectedParamsOf(t, *data), num_rows * filter.data[0],
                            &data->filter_buffer_index);
}

TfLiteStatus EvalFullyConnected(TfLiteContext* context, TfLiteNode* node) {
  const FilterNode t = TensorsOf(context, node);
  const auto& data = *static_cast<const OpDataFullyConnected*>(node->user_data);
  if (!HasInt8Filter(t) || data.filter_buffer_index == kIsTflms) {
    return Register_FULLY_CONNECTED().invoke(context, node);
  }
  const FullyConnectedParams params = FullyConnectedParamsOf(t, data);
  const int32_t channels = params.output.channels;
  uint8_t* scratch = FastScratch(context, data.filter_buffer_index);
  auto* words = reinterpret_cast<int32_t*>(scratch + ScratchBytes(params));
  ChannelTable table = {nullptr, data.per_channel_output_multiplier, data.per_channel_output_shift};
  if (!data.is_per_channel) {
    for (int32_t i = 0; i < channels; ++i) {
      words[i] = data.output_multiplier;
      words[channels + i] = data.output_shift;
    }
    table.multiplier = words;
    table.shift = words + channels;
    words += 2 * channels;
  }
  table.bias = BiasOr(t, words, channels);
  kernels::FullyConnected(params, Bytes(*t.input), Bytes(*t.filter), table,
                          static_cast<uint8_t*>(t.output->data.data), scratch);
  return kTfLiteOk;
}

}  // namespace

TFLMRegistration FastConv2D() {
  return Replaced(Conv2DOp::Tflms(), PrepareConv<Conv2DOp>, EvalConv<Conv2DOp>);
}

TFLMRegistration FastDepthwiseConv2D() {
  return Replaced(DepthwiseConv2DOp::Tflms(), PrepareConv<DepthwiseConv2DOp>,
                  EvalConv<DepthwiseConv2DOp>);
}

TFLMRegistration FastFullyConnected() {
  return Replaced(tflm::Register_FULLY_CONNECTED(), PrepareFullyConnected, EvalFullyConnected);
}

}  // namespace quantmcu
