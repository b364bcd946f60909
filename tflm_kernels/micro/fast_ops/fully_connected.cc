// FULLY_CONNECTED of TFLite on our kernel (fast_ops.h).

// Small, not fast: what it calls takes the time.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/micro/fast_ops/filter_op.h"

namespace quantmcu {
namespace {

using tflm::OpDataFullyConnected;

// Outputs at a time whose table scratch holds, where TFLM has one factor for all or the model no bias: a table of all
// would take 8 bytes of RAM a channel.
constexpr int32_t kBlock = 64;

bool HasTable(const FilterNode& t, const OpDataFullyConnected& data) {
  return t.bias != nullptr && data.is_per_channel;
}

FullyConnectedParams ParamsOf(const FilterNode& t, const OpDataFullyConnected& data,
                              int32_t channels) {
  return {Int8Run(t.filter->dims->data[1], data.input_zero_point),
          Int8Run(channels, data.output_zero_point),
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
  const int32_t channels = filter.data[0] < kBlock ? filter.data[0] : kBlock;
  return RequestFastScratch(context, ScratchBytes(ParamsOf(t, *data, channels)),
                            num_rows * channels, &data->filter_buffer_index);
}

// The table of a block's outputs, but for their biases; where TFLM has one factor for all `words` takes a row of it for
// each of the two, which serves all blocks.
ChannelTable FactorsOf(const OpDataFullyConnected& data, int32_t channels, int32_t* words) {
  if (data.is_per_channel) {
    return {nullptr, data.per_channel_output_multiplier, data.per_channel_output_shift};
  }
  int32_t* const shifts = words + channels;
  for (int32_t i = 0; i < channels; ++i) {
    words[i] = data.output_multiplier;
    shifts[i] = data.output_shift;
  }
  return {nullptr, words, shifts};
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  const FilterNode t = TensorsOf(context, node);
  const auto& data = *static_cast<const OpDataFullyConnected*>(node->user_data);
  if (!HasInt8Filter(t) || data.filter_buffer_index == kIsTflms) {
    return tflm::Register_FULLY_CONNECTED().invoke(context, node);
  }
  const int32_t channels = t.filter->dims->data[0];
  const int32_t block = HasTable(t, data) || channels < kBlock ? channels : kBlock;
  uint8_t* scratch = FastScratch(context, data.filter_buffer_index);
  FullyConnectedParams params = ParamsOf(t, data, block);
  int32_t* words = reinterpret_cast<int32_t*>(scratch + ScratchBytes(params));
  ChannelTable table = FactorsOf(data, block, words);
  if (!data.is_per_channel) words += 2 * block;
  table.bias = BiasOr(t, words, block);
  const uint8_t* filter = Bytes(*t.filter);
  auto* output = static_cast<uint8_t*>(t.output->data.data);
  for (int32_t left = channels; left > 0; left -= block) {
    if (left < block) params.output = Int8Run(left, data.output_zero_point);
    kernels::FullyConnectedOf<8, 8>(params, Bytes(*t.input), filter, table, output, scratch);
    filter += int64_t{block} * params.input.channels;
    output += block;
    if (t.bias != nullptr) table.bias += block;
    if (data.is_per_channel) {
      table.multiplier += block;
      table.shift += block;
    }
  }
  return kTfLiteOk;
}

}  // namespace

TFLMRegistration FastFullyConnected() {
  return Replaced(tflm::Register_FULLY_CONNECTED(), Prepare, Eval);
}

}  // namespace quantmcu
