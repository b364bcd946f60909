// Max pool without DSP.
//
// What is gained: taps are found once a pixel, not once a channel; nothing is multiplied where the format stays.
#include "tflm_kernels/cortex_m/plain/kernels.h"
#include "tflm_kernels/cortex_m/plain/pool.h"

namespace quantmcu {
namespace plain {
namespace {

struct Largest {
  explicit Largest(const PoolTaps&) {}

  template <int kBits>
  int32_t Of(const uint8_t* first, int32_t first_bit, const PoolTaps& taps) const {
    int32_t largest = INT8_MIN;
    ForEachTap<kBits>(first, first_bit, taps,
                      [&](int32_t value) { largest = value > largest ? value : largest; });
    return largest;
  }
};

}  // namespace

void MaxPool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output) {
  Pool2D<Largest>(params, input, output);
}

}  // namespace plain
}  // namespace quantmcu
