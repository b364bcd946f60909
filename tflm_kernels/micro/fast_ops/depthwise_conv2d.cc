// DEPTHWISE_CONV_2D of TFLite on our kernel (fast_ops.h).

#include "tflm_kernels/micro/fast_ops/filter_op.h"

namespace quantmcu {
namespace {

struct DepthwiseConv2DOp {
  using Params = DepthwiseConv2DParams;
  using Options = TfLiteDepthwiseConvParams;
  static constexpr auto kKernel = &kernels::DepthwiseConv2DOf<8, 8>;
  static TFLMRegistration Tflms() { return tflm::Register_DEPTHWISE_CONV_2D(); }
  static bool IsOurs(const FilterNode& t) {
    return t.filter->dims->data[0] == 1 && t.output->dims->data[3] % t.input->dims->data[3] == 0;
  }
  static Params ParamsOf(const FilterNode& t, const Window& window, const tflm::OpDataConv& data) {
    return {Int8Map(*t.input, data.input_zero_point),
            Int8Map(*t.output, data.output_zero_point),
            window,
            {data.output_activation_min, data.output_activation_max},
            8,
            t.output->dims->data[3] / t.input->dims->data[3]};
  }
};

}  // namespace

TFLMRegistration FastDepthwiseConv2D() { return FastConv<DepthwiseConv2DOp>::Registration(); }

}  // namespace quantmcu
