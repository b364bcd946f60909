// DotPixels without DSP, for 8-bit maps and weights.
//
// What is gained: a row of pixels is one run, as its weights are, and its values meet two outputs, without a call.
// Calls the reference for other widths.
#include "tflm_kernels/cortex_m/plain/kernels.h"
#include "tflm_kernels/portable/ops/pixel_sums.h"

namespace quantmcu {
namespace plain {
namespace {

// Adds to sums[0], and sums[1] if `second` is not null.
void AddRun(const uint8_t* pixels, int32_t zero_point, int32_t count, const uint8_t* first,
            const uint8_t* second, int32_t* sums) {
  int32_t sum0 = 0;
  int32_t sum1 = 0;
  const uint8_t* const end = pixels + count;
  if (second == nullptr) {
    while (pixels != end) {
      sum0 += (static_cast<int8_t>(*pixels++) - zero_point) * static_cast<int8_t>(*first++);
    }
    sums[0] = WrappingAdd(sums[0], sum0);
    return;
  }
  while (pixels != end) {
    const int32_t value = static_cast<int8_t>(*pixels++) - zero_point;
    sum0 += value * static_cast<int8_t>(*first++);
    sum1 += value * static_cast<int8_t>(*second++);
  }
  sums[0] = WrappingAdd(sums[0], sum0);
  sums[1] = WrappingAdd(sums[1], sum1);
}

}  // namespace

void DotPixels(const DotPixelsParams& params, const uint8_t* pixels, const uint8_t* filter,
               int32_t* sums) {
  const FeatureMap& in = params.input;
  if (in.bits != 8 || params.weight_bits != 8) {
    reference::DotPixels(params, pixels, filter, sums);
    return;
  }
  const int32_t row_bytes = params.map_width * in.channels;
  const int32_t filter_bytes = params.map_height * row_bytes;
  const int32_t first = params.row * row_bytes + params.column * in.channels;
  for (int32_t o = 0; o < params.num_outputs; o += 2) {
    const uint8_t* taps = filter + o * filter_bytes + first;
    const bool is_pair = o + 1 < params.num_outputs;
    for (int32_t y = 0; y < in.height; ++y, taps += row_bytes) {
      AddRun(pixels + y * in.row_bytes, in.zero_point, in.width * in.channels, taps,
             is_pair ? taps + filter_bytes : nullptr, sums + o);
    }
  }
}

}  // namespace plain
}  // namespace quantmcu
