// cortex_m/dsp/store_pixels.h - requantises and stores the sums of four output pixels, channel by
// channel.
//
// What is gained: a channel's factor is loaded once for four results, which are clamped in one word;
// values below 8 bits gather in a word until the byte of each pixel is full.
// Source   written from docs/arithmetic.md A3 and docs/format.md F2.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_STORE_PIXELS_H_
#define TFLM_KERNELS_CORTEX_M_DSP_STORE_PIXELS_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/fixed_point.h"
#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {
namespace dsp {

class PixelsStore {
 public:
  // runs: where those of the four pixels start; some may be one.
  PixelsStore(const FeatureMap& output, const Clamp& clamp, uint8_t* const* runs)
      : clamp_(MakeClampBytes(clamp)),
        zero_point_(output.zero_point),
        bits_(output.bits),
        field_mask_(Repeated((1 << output.bits) - 1)),
        runs_{runs[0], runs[1], runs[2], runs[3]} {}

  // The sums of the next channel.
  [[gnu::always_inline]] void Put(const int32_t (&sums)[4], const FixedPoint& factor) {
    if (IsSmallFactor(factor)) {
      PutWith(sums[0], sums[1], sums[2], sums[3], MakeSmallFactor(factor));
    } else {
      PutAny(sums[0], sums[1], sums[2], sums[3], factor);
    }
  }

  // After the last channel.
  void Finish() {
    if (used_bits_ > 0) Flush();
  }

 private:
  [[gnu::noinline]] void PutAny(int32_t sum0, int32_t sum1, int32_t sum2, int32_t sum3,
                                FixedPoint factor) {
    PutWith(sum0, sum1, sum2, sum3, MakeAnyFactor(factor));
  }

  template <typename Factor>
  [[gnu::always_inline]] void PutWith(int32_t sum0, int32_t sum1, int32_t sum2, int32_t sum3,
                                      const Factor& factor) {
    const uint32_t values = ClampedBytes(
        MultiplyAdd(sum0, factor, zero_point_), MultiplyAdd(sum1, factor, zero_point_),
        MultiplyAdd(sum2, factor, zero_point_), MultiplyAdd(sum3, factor, zero_point_), clamp_);
    gathered_ |= (values & field_mask_) << used_bits_;
    used_bits_ += bits_;
    if (used_bits_ == 8) Flush();
  }

  [[gnu::always_inline]] void Flush() {
    *runs_[0]++ = static_cast<uint8_t>(gathered_);
    *runs_[1]++ = static_cast<uint8_t>(gathered_ >> 8);
    *runs_[2]++ = static_cast<uint8_t>(gathered_ >> 16);
    *runs_[3]++ = static_cast<uint8_t>(gathered_ >> 24);
    gathered_ = 0;
    used_bits_ = 0;
  }

  const ClampBytes clamp_;
  const int32_t zero_point_;
  const int32_t bits_;
  const uint32_t field_mask_;
  uint32_t gathered_ = 0;
  int32_t used_bits_ = 0;
  uint8_t* runs_[4];
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_STORE_PIXELS_H_
