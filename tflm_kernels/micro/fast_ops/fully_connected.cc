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

// Outputs [begin, begin + params.output.channels); `words` is for their table.
void EvalBlock(const FilterNode& t, const OpDataFullyConnected& data,
               const FullyConnectedParams& params, int32_t begin, uint8_t* scratch,
               int32_t* words) {
  const int32_t channels = params.output.channels;
  ChannelTable table = {nullptr, nullptr, nullptr};
  if (data.is_per_channel) {
    table.multiplier = data.per_channel_output_multiplier + begin;
    table.shift = data.per_channel_output_shift + begin;
  } else {
    for (int32_t i = 0; i < channels; ++i) {
      words[i] = data.output_multiplier;
      words[channels + i] = data.output_shift;
    }
    table.multiplier = words;
    table.shift = words + channels;
    words += 2 * channels;
  }
  table.bias = BiasOr(t, words, channels) + (t.bias == nullptr ? 0 : begin);
  const uint8_t* filter = Bytes(*t.filter) + int64_t{begin} * params.input.channels;
  kernels::FullyConnectedOf<8, 8>(params, Bytes(*t.input), filter, table,
                                  static_cast<uint8_t*>(t.output->data.data) + begin, scratch);
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  const FilterNode t = TensorsOf(context, node);
  const auto& data = *static_cast<const OpDataFullyConnected*>(node->user_data);
  if (!HasInt8Filter(t) || data.filter_buffer_index == kIsTflms) {
    return tflm::Register_FULLY_CONNECTED().invoke(context, node);
  }
  const int32_t channels = t.filter->dims->data[0];
  const int32_t block = HasTable(t, data) ? channels : kBlock;
  uint8_t* scratch = FastScratch(context, data.filter_buffer_index);
  for (int32_t begin = 0; begin < channels; begin += block) {
    const int32_t left = channels - begin;
    const FullyConnectedParams params = ParamsOf(t, data, left < block ? left : block);
    EvalBlock(t, data, params, begin, scratch,
              reinterpret_cast<int32_t*>(scratch + ScratchBytes(params)));
  }
  return kTfLiteOk;
}

}  // namespace

TFLMRegistration FastFullyConnected() {
  return Replaced(tflm::Register_FULLY_CONNECTED(), Prepare, Eval);
}

}  // namespace quantmcu
