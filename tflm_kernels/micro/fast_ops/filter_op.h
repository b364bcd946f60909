// micro/fast_ops/filter_op.h - what TFLite's ops with a filter share on our kernels (fast_ops.h).
//
// TFLM keeps multipliers and shifts a channel; the bias stands in flash. Where it has one factor for all channels, or
// a model no bias, scratch holds what is missing for the time of a call.
#ifndef TFLM_KERNELS_MICRO_FAST_OPS_FILTER_OP_H_
#define TFLM_KERNELS_MICRO_FAST_OPS_FILTER_OP_H_

#include <string.h>

#include "tflm_kernels/micro/fast_ops.h"
#include "tflm_kernels/micro/fast_ops/fast_op.h"
#include "tflm_kernels/micro/scratch.h"

namespace quantmcu {

// In filter_buffer_index, which TFLM's kernels use of 4-bit filters alone: a scratch buffer, or one of these.
constexpr int kNoScratch = -1;
constexpr int kIsTflms = -2;

struct FilterNode {
  const TfLiteEvalTensor* input;
  const TfLiteEvalTensor* filter;
  const TfLiteEvalTensor* bias;  // null where there is none
  TfLiteEvalTensor* output;
};

inline FilterNode TensorsOf(const TfLiteContext* context, const TfLiteNode* node) {
  const TfLiteIntArray& inputs = *node->inputs;
  const bool has_bias = inputs.size > 2 && inputs.data[2] >= 0;
  return {GetEvalTensor(context, inputs.data[0]), GetEvalTensor(context, inputs.data[1]),
          has_bias ? GetEvalTensor(context, inputs.data[2]) : nullptr,
          GetEvalTensor(context, node->outputs->data[0])};
}

// Of such nodes TFLM leaves filter_buffer_index alone.
inline bool HasInt8Filter(const FilterNode& t) {
  return t.input->type == kTfLiteInt8 && t.filter->type == kTfLiteInt8 &&
         t.output->type == kTfLiteInt8 && (t.bias == nullptr || t.bias->type == kTfLiteInt32);
}

// While the op is prepared constants alone have data.
inline bool IsFilterConstant(const FilterNode& t) {
  return t.filter->data.data != nullptr && (t.bias == nullptr || t.bias->data.data != nullptr);
}

// Asks for the kernel's scratch and, behind it, for a table of `num_words`.
template <typename Params>
TfLiteStatus RequestFastScratch(TfLiteContext* context, const Params& params, int32_t num_words,
                                int* index) {
  const size_t num_bytes = ScratchBytes(params) + sizeof(int32_t) * static_cast<size_t>(num_words);
  *index = kNoScratch;
  return num_bytes == 0 ? kTfLiteOk : RequestScratchBufferInArena(context, num_bytes, index);
}

inline uint8_t* FastScratch(TfLiteContext* context, int index) {
  return index == kNoScratch ? nullptr : static_cast<uint8_t*>(GetScratchBuffer(context, index));
}

inline const uint8_t* Bytes(const TfLiteEvalTensor& tensor) {
  return static_cast<const uint8_t*>(tensor.data.data);
}

inline const int32_t* BiasOr(const FilterNode& t, int32_t* zeros, int32_t num_channels) {
  if (t.bias != nullptr) return static_cast<const int32_t*>(t.bias->data.data);
  memset(zeros, 0, sizeof(int32_t) * static_cast<size_t>(num_channels));
  return zeros;
}

inline bool IsWindowOurs(const Window& window) {
  const int32_t extents[] = {window.kernel_height, window.kernel_width,    window.stride_height,
                             window.stride_width,  window.dilation_height, window.dilation_width};
  for (const int32_t extent : extents) {
    if (!InRange(extent, 1, kMaxExtent)) return false;
  }
  return true;
}

// A convolution. Op has
//   Params, Options        of our kernel and of TFLM's
//   kKernel                ours, for calls that IsFast
//   Tflms()                TFLM's registration
//   IsOurs(t)              whether the kernel takes tensors that are int8 maps
//   ParamsOf(t, window, data)
template <typename Op>
struct FastConv {
  static typename Op::Params ParamsOf(const TfLiteNode* node, const FilterNode& t,
                                      const tflm::OpDataConv& data) {
    const auto& options = *static_cast<const typename Op::Options*>(node->builtin_data);
    const Window window = {t.filter->dims->data[1],
                           t.filter->dims->data[2],
                           options.stride_height,
                           options.stride_width,
                           options.dilation_height_factor,
                           options.dilation_width_factor,
                           data.padding.height,
                           data.padding.width};
    return Op::ParamsOf(t, window, data);
  }

  static TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
    const TfLiteStatus status = Op::Tflms().prepare(context, node);
    if (status != kTfLiteOk) return status;
    const FilterNode t = TensorsOf(context, node);
    if (!HasInt8Filter(t)) return kTfLiteOk;
    auto* data = static_cast<tflm::OpDataConv*>(node->user_data);
    data->filter_buffer_index = kIsTflms;
    const bool is_ours =
        IsFilterConstant(t) && IsInt8Map(*t.input) && IsInt8Map(*t.output) && Op::IsOurs(t);
    if (!is_ours) return kTfLiteOk;
    const typename Op::Params params = ParamsOf(node, t, *data);
    if (!IsWindowOurs(params.window)) return kTfLiteOk;
    const int32_t num_zeros = t.bias == nullptr ? params.output.channels : 0;
    return RequestFastScratch(context, params, num_zeros, &data->filter_buffer_index);
  }

  static TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
    const FilterNode t = TensorsOf(context, node);
    const auto& data = *static_cast<const tflm::OpDataConv*>(node->user_data);
    if (!HasInt8Filter(t) || data.filter_buffer_index == kIsTflms) {
      return Op::Tflms().invoke(context, node);
    }
    const typename Op::Params params = ParamsOf(node, t, data);
    if (!kernels::IsFast(params)) return Op::Tflms().invoke(context, node);
    uint8_t* scratch = FastScratch(context, data.filter_buffer_index);
    auto* zeros = reinterpret_cast<int32_t*>(scratch + ScratchBytes(params));
    const ChannelTable table = {BiasOr(t, zeros, params.output.channels),
                                data.per_channel_output_multiplier, data.per_channel_output_shift};
    Op::kKernel(params, Bytes(*t.input), Bytes(*t.filter), table,
                static_cast<uint8_t*>(t.output->data.data), scratch);
    return kTfLiteOk;
  }

  static TFLMRegistration Registration() { return Replaced(Op::Tflms(), Prepare, Eval); }
};

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_FAST_OPS_FILTER_OP_H_
