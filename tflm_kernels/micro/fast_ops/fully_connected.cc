// FULLY_CONNECTED of TFLite on our kernel (fast_ops.h).

#include "tflm_kernels/micro/fast_ops/filter_op.h"

namespace quantmcu {
namespace {

using tflm::OpDataFullyConnected;

FullyConnectedParams ParamsOf(const FilterNode& t, const OpDataFullyConnected& data) {
  const int* filter = t.filter->dims->data;
  return {Int8Run(filter[1], data.input_zero_point),
          Int8Run(filter[0], data.output_zero_point),
          {data.output_activation_min, data.output_activation_max},
          8};
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  const TfLiteStatus status = tflm::Register_FULLY_CONNECTED().prepare(context, node);
  if (status != kTfLiteOk) return status;
  const FilterNode t = TensorsOf(context, node);
  if (!HasInt8Filter(t)) return kTfLiteOk;
  auto* data = static_cast<OpDataFullyConnected*>(node->user_data);
  data->filter_buffer_index = kIsTflms;
  const TfLiteIntArray& filter = *t.filter->dims;
  const bool is_ours =
      IsFilterConstant(t) && filter.size == 2 && data->filter_zero_point == 0 &&
      InRange(filter.data[0], 1, kMaxChannels) && InRange(filter.data[1], 1, kMaxChannels) &&
      NumElements(*t.input) == filter.data[1] && NumElements(*t.output) == filter.data[0];
  if (!is_ours) return kTfLiteOk;
  const int32_t num_rows = (t.bias == nullptr) + (data->is_per_channel ? 0 : 2);
  return RequestFastScratch(context, ParamsOf(t, *data), num_rows * filter.data[0],
                            &data->filter_buffer_index);
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  const FilterNode t = TensorsOf(context, node);
  const auto& data = *static_cast<const OpDataFullyConnected*>(node->user_data);
  if (!HasInt8Filter(t) || data.filter_buffer_index == kIsTflms) {
    return tflm::Register_FULLY_CONNECTED().invoke(context, node);
  }
  const FullyConnectedParams params = ParamsOf(t, data);
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

TFLMRegistration FastFullyConnected() {
  return Replaced(tflm::Register_FULLY_CONNECTED(), Prepare, Eval);
}

}  // namespace quantmcu
