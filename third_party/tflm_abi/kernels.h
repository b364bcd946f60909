// Of TFLM's own kernels the options and data of six ops, declared anew for builds without TFLM, as tflm_abi.h.
//
// Layout of TFLM's reference kernels built with USE_TFLM_COMPRESSION, as its Python interpreter is.
#ifndef THIRD_PARTY_TFLM_ABI_KERNELS_H_
#define THIRD_PARTY_TFLM_ABI_KERNELS_H_

#include <stdint.h>

namespace tflm_abi {

constexpr int32_t kBuiltinOperatorAdd = 0;
constexpr int32_t kBuiltinOperatorAveragePool2D = 1;
constexpr int32_t kBuiltinOperatorConv2D = 3;
constexpr int32_t kBuiltinOperatorDepthwiseConv2D = 4;
constexpr int32_t kBuiltinOperatorFullyConnected = 9;
constexpr int32_t kBuiltinOperatorMaxPool2D = 17;

struct TfLitePaddingValues {
  int width;
  int height;
  int width_offset;
  int height_offset;
};

struct TfLiteConvParams {
  int padding;
  int stride_width;
  int stride_height;
  int activation;
  int dilation_width_factor;
  int dilation_height_factor;
  int quantized_bias_type;
};

struct TfLiteDepthwiseConvParams {
  int padding;
  int stride_width;
  int stride_height;
  int depth_multiplier;
  int activation;
  int dilation_width_factor;
  int dilation_height_factor;
};

struct TfLitePoolParams {
  int padding;
  int stride_width;
  int stride_height;
  int filter_width;
  int filter_height;
  int activation;
  TfLitePaddingValues computed_padding;
};

struct OpDataAdd {
  bool requires_broadcast;
  int input1_shift;
  int input2_shift;
  int32_t output_activation_min;
  int32_t output_activation_max;
  int32_t input1_multiplier;
  int32_t input2_multiplier;
  int32_t output_multiplier;
  int output_shift;
  int left_shift;
  int32_t input1_offset;
  int32_t input2_offset;
  int32_t output_offset;
  float output_activation_min_f32;
  float output_activation_max_f32;
};

struct OpDataPooling {
  TfLitePaddingValues padding;
  int32_t activation_min;
  int32_t activation_max;
  float activation_min_f32;
  float activation_max_f32;
};

struct OpDataConv {
  TfLitePaddingValues padding;
  int32_t input_zero_point;
  int32_t filter_zero_point;
  int32_t output_zero_point;
  int32_t output_multiplier;
  int output_shift;
  int32_t* per_channel_output_multiplier;
  int32_t* per_channel_output_shift;
  int32_t output_activation_min;
  int32_t output_activation_max;
  int filter_buffer_index;
  int weights_scratch_index;
  int bias_scratch_index;
};

struct OpDataFullyConnected {
  int32_t output_multiplier;
  int output_shift;
  int32_t output_activation_min;
  int32_t output_activation_max;
  int input_quantized_index;
  int32_t input_zero_point;
  int32_t filter_zero_point;
  int32_t output_zero_point;
  int filter_buffer_index;
  int32_t* per_channel_output_multiplier;
  int32_t* per_channel_output_shift;
  bool is_per_channel;
  int weights_scratch_index;
  int bias_scratch_index;
};

}  // namespace tflm_abi

#endif  // THIRD_PARTY_TFLM_ABI_KERNELS_H_
