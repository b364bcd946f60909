// Average pool without DSP.
//
// What is gained: taps are found once a pixel, not once a channel; where their number is a power of two nothing is
// divided, nor multiplied where the format stays.
#include "tflm_kernels/cortex_m/plain/kernels.h"
#include "tflm_kernels/cortex_m/plain/pool.h"

namespace quantmcu {
namespace plain {
namespace {

class Average {
 public:
  explicit Average(const PoolTaps& taps) : num_taps_(taps.height * taps.width) {
    if ((num_taps_ & (num_taps_ - 1)) != 0) return;
    shift_ = 0;
    while (1 << shift_ < num_taps_) ++shift_;
  }

  template <int kBits>
  int32_t Of(const uint8_t* first, int32_t first_bit, const PoolTaps& taps) const {
    int32_t sum = 0;
    ForEachTap<kBits>(first, first_bit, taps, [&](int32_t value) { sum += value; });
    return shift_ >= 0 ? RoundingDivideByPowerOfTwo(sum, shift_) : RoundedMean(sum, num_taps_);
  }

 private:
  const int32_t num_taps_;
  int32_t shift_ = -1;  // of a power of two
};

}  // namespace

void AveragePool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output) {
  Pool2D<Average>(params, input, output);
}

}  // namespace plain
}  // namespace quantmcu
