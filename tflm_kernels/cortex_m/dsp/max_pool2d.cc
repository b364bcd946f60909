// Max pool with the DSP extension.
//
// What is gained: the larger of four channels at once by SSUB8 and SEL.
#include "tflm_kernels/portable/ops/max_pool2d.h"

#include "tflm_kernels/cortex_m/dsp/pool.h"

namespace quantmcu {
namespace dsp {
namespace {

FourSums LargestOfTaps(const uint8_t* first, const PoolTaps& taps) {
  uint32_t largest = Repeated(INT8_MIN);
  for (int32_t y = 0; y < taps.height; ++y, first += taps.row_bytes) {
    ForEachTap(first, taps.width, taps,
               [&](uint32_t values) { largest = LargerBytes(largest, values); });
  }
  return {static_cast<int8_t>(largest), static_cast<int8_t>(largest >> 8),
          static_cast<int8_t>(largest >> 16), static_cast<int8_t>(largest >> 24)};
}

}  // namespace

void MaxPool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output) {
  Pool2D(params, input, output, LargestOfTaps);
}

}  // namespace dsp
}  // namespace quantmcu
