// CONV_2D of TFLite on our kernel (fast_ops.h).

#include "tflm_kernels/micro/fast_ops/filter_op.h"

namespace quantmcu {
namespace {

struct Conv2DOp {
  using Params = Conv2DParams;
  using Options = TfLiteConvParams;
  static constexpr auto kKernel = &kernels::Conv2DOf<8, 8>;
  static TFLMRegistration Tflms() { return tflm::Register_CONV_2D(); }
  static bool IsOurs(const FilterNode& t) {
    return t.filter->dims->data[3] == t.input->dims->data[3];
  }
  static Params ParamsOf(const FilterNode& t, const Window& window, const tflm::OpDataConv& data) {
    return {Int8Map(*t.input, data.input_zero_point),
            Int8Map(*t.output, data.output_zero_point),
            window,
            {data.output_activation_min, data.output_activation_max},
            8};
  }
};

}  // namespace

TFLMRegistration FastConv2D() { return FastConv<Conv2DOp>::Registration(); }

}  // namespace quantmcu
