// Small, not fast: what it calls takes the time.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/micro/fast_ops/filter_op.h"

#include <string.h>

namespace quantmcu {
FilterNode TensorsOf(const TfLiteContext* context, const TfLiteNode* node) {
  const TfLiteIntArray& inputs = *node->inputs;
  const bool has_bias = inputs.size > 2 && inputs.data[2] >= 0;
  return {GetEvalTensor(context, inputs.data[0]), GetEvalTensor(context, inputs.data[1]),
          has_bias ? GetEvalTensor(context, inputs.data[2]) : nullptr,
          GetEvalTensor(context, node->outputs->data[0])};
}

bool HasInt8Filter(const FilterNode& t) {
  return t.input->type == kTfLiteInt8 && t.filter->type == kTfLiteInt8 &&
         t.output->type == kTfLiteInt8 && (t.bias == nullptr || t.bias->type == kTfLiteInt32);
}

bool IsFilterConstant(const FilterNode& t) {
  return t.filter->data.data != nullptr && (t.bias == nullptr || t.bias->data.data != nullptr);
}

bool HasMaps(const FilterNode& t) {
  return IsFilterConstant(t) && IsInt8Map(*t.input) && IsInt8Map(*t.output);
}

bool IsWindowOurs(const Window& window) {
  const int32_t extents[] = {window.kernel_height, window.kernel_width,    window.stride_height,
                             window.stride_width,  window.dilation_height, window.dilation_width};
  for (const int32_t extent : extents) {
    if (!InRange(extent, 1, kMaxExtent)) return false;
  }
  return true;
}

Conv2DParams ConvParamsOf(const FilterNode& t, const Steps& steps, const tflm::OpDataConv& data) {
  const Window window = {t.filter->dims->data[1], t.filter->dims->data[2], steps.stride_height,
                         steps.stride_width,      steps.dilation_height,   steps.dilation_width,
                         data.padding.height,     data.padding.width};
  return {Int8Map(*t.input, data.input_zero_point),
          Int8Map(*t.output, data.output_zero_point),
          window,
          {data.output_activation_min, data.output_activation_max},
          8};
}

TfLiteStatus RequestFastScratch(TfLiteContext* context, size_t num_bytes, int32_t num_words,
                                int* index) {
  num_bytes += sizeof(int32_t) * static_cast<size_t>(num_words);
  *index = kNoScratch;
  return num_bytes == 0 ? kTfLiteOk : RequestScratchBufferInArena(context, num_bytes, index);
}

const int32_t* BiasOr(const FilterNode& t, int32_t* zeros, int32_t num_channels) {
  if (t.bias != nullptr) return static_cast<const int32_t*>(t.bias->data.data);
  memset(zeros, 0, sizeof(int32_t) * static_cast<size_t>(num_channels));
  return zeros;
}

}  // namespace quantmcu
