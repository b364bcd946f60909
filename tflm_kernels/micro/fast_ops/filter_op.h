// micro/fast_ops/filter_op.h - what TFLite's ops with a filter share on our kernels (fast_ops.h).
//
// TFLM keeps multipliers and shifts a channel; the bias stands in flash. Where it has one factor for all channels, or
// a model no bias, scratch holds what is missing for the time of a call.
#ifndef TFLM_KERNELS_MICRO_FAST_OPS_FILTER_OP_H_
#define TFLM_KERNELS_MICRO_FAST_OPS_FILTER_OP_H_

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

FilterNode TensorsOf(const TfLiteContext* context, const TfLiteNode* node);

// Of such nodes TFLM leaves filter_buffer_index alone.
bool HasInt8Filter(const FilterNode& t);

// While the op is prepared constants alone have data.
bool IsFilterConstant(const FilterNode& t);

// Whether a convolution has a constant filter and int8 maps.
bool HasMaps(const FilterNode& t);

bool IsWindowOurs(const Window& window);

// Asks for a kernel's scratch and, behind it, for a table of `num_words`.
TfLiteStatus RequestFastScratch(TfLiteContext* context, size_t num_bytes, int32_t num_words,
                                int* index);

inline uint8_t* FastScratch(TfLiteContext* context, int index) {
  return index == kNoScratch ? nullptr : static_cast<uint8_t*>(GetScratchBuffer(context, index));
}

inline const uint8_t* Bytes(const TfLiteEvalTensor& tensor) {
  return static_cast<const uint8_t*>(tensor.data.data);
}

const int32_t* BiasOr(const FilterNode& t, int32_t* zeros, int32_t num_channels);

// How a convolution's window moves, as TFLM's options of it say.
struct Steps {
  int32_t stride_height;
  int32_t stride_width;
  int32_t dilation_height;
  int32_t dilation_width;
};

// Of tensors that HasMaps; a depthwise one's but for its multiplier.
Conv2DParams ConvParamsOf(const FilterNode& t, const Steps& steps, const tflm::OpDataConv& data);

// A convolution. Op has
//   Options                TFLM's
//   Kernel                 the type of ours
//   Tflms()                TFLM's registration
//   IsOurs(t)              whether the kernel takes tensors that are int8 maps
//   ParamsOf(params, t)    the kernel's, of ConvParamsOf
template <typename Op>
struct FastConv {
  static auto ParamsOf(const TfLiteNode* node, const FilterNode& t, const tflm::OpDataConv& data) {
    const auto& options = *static_cast<const typename Op::Options*>(node->builtin_data);
    return Op::ParamsOf(
        ConvParamsOf(t,
                     {options.stride_height, options.stride_width, options.dilation_height_factor,
                      options.dilation_width_factor},
                     data),
        t);
  }

  static TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
    const TfLiteStatus status = Op::Tflms().prepare(context, node);
    if (status != kTfLiteOk) return status;
    const FilterNode t = TensorsOf(context, node);
    if (!HasInt8Filter(t)) return kTfLiteOk;
    auto* data = static_cast<tflm::OpDataConv*>(node->user_data);
    data->filter_buffer_index = kIsTflms;
    if (!HasMaps(t) || !Op::IsOurs(t)) return kTfLiteOk;
    const auto params = ParamsOf(node, t, *data);
    if (!IsWindowOurs(params.window)) return kTfLiteOk;
    const int32_t num_zeros = t.bias == nullptr ? params.output.channels : 0;
    return RequestFastScratch(context, ScratchBytes(params), num_zeros, &data->filter_buffer_index);
  }

  // kernel: for calls that IsFast.
  static TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node, typename Op::Kernel* kernel) {
    const FilterNode t = TensorsOf(context, node);
    const auto& data = *static_cast<const tflm::OpDataConv*>(node->user_data);
    if (!HasInt8Filter(t) || data.filter_buffer_index == kIsTflms) {
      return Op::Tflms().invoke(context, node);
    }
    const auto params = ParamsOf(node, t, data);
    if (!kernels::IsFast(params)) return Op::Tflms().invoke(context, node);
    uint8_t* scratch = FastScratch(context, data.filter_buffer_index);
    auto* zeros = reinterpret_cast<int32_t*>(scratch + ScratchBytes(params));
    const ChannelTable table = {BiasOr(t, zeros, params.output.channels),
                                data.per_channel_output_multiplier, data.per_channel_output_shift};
    kernel(params, Bytes(*t.input), Bytes(*t.filter), table,
           static_cast<uint8_t*>(t.output->data.data), scratch);
    return kTfLiteOk;
  }

  static TFLMRegistration Registration(FastEval* eval) {
    return Replaced(Op::Tflms(), Prepare, eval);
  }
};

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_FAST_OPS_FILTER_OP_H_
