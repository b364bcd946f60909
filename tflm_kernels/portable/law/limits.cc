#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace {

bool AxisHasTap(int32_t input, int32_t output, int32_t kernel, int32_t stride, int32_t pad) {
  const int32_t first_end = kernel - pad;
  const int32_t last_begin = (output - 1) * stride - pad;
  return first_end > 0 && last_begin < input;
}

}  // namespace

bool PoolWindowFits(const Window& window, int32_t input_height, int32_t input_width,
                    int32_t output_height, int32_t output_width) {
  return window.dilation_height == 1 && window.dilation_width == 1 &&
         SaturatingProduct(window.kernel_height, window.kernel_width) <= kMaxPoolTaps &&
         AxisHasTap(input_height, output_height, window.kernel_height, window.stride_height,
                    window.pad_top) &&
         AxisHasTap(input_width, output_width, window.kernel_width, window.stride_width,
                    window.pad_left);
}

int32_t FindBadChannel(const ChannelTable& table, int32_t num_channels, int64_t num_products,
                       int32_t input_bits, int32_t weight_bits) {
  // |x - zero_point| <= 2^input_bits - 1, |w| <= 2^(weight_bits - 1). Where the bias and that many such products fit
  // int32, every partial sum does, in whatever order a kernel adds them up.
  const int64_t largest_product = int64_t{(1 << input_bits) - 1} * -QMin(weight_bits);
  const int64_t largest_sum = SaturatingProduct(num_products, largest_product);
  for (int32_t o = 0; o < num_channels; ++o) {
    const int64_t bias = table.bias[o];
    const int64_t magnitude = bias < 0 ? -bias : bias;
    if (!FixedPointFits(FactorOf(table, o)) || magnitude + largest_sum > INT32_MAX) return o;
  }
  return -1;
}

int32_t FindBadEntry(const uint8_t* table, int32_t num_entries, const Clamp& clamp) {
  for (int32_t i = 0; i < num_entries; ++i) {
    if (!InRange(static_cast<int8_t>(table[i]), clamp.min, clamp.max)) return i;
  }
  return -1;
}

}  // namespace quantmcu
