// cortex_m/store_pair_dsp.h - requantises and stores the sums of two output pixels, channel by channel.
//
// What is gained: the factor of a channel is loaded once for both pixels, both results are clamped in
// the halves of one word, and values below 8 bits gather in a register until their byte is full.
// Source   written from docs/arithmetic.md A3 and docs/format.md F2.
#ifndef TFLM_KERNELS_CORTEX_M_STORE_PAIR_DSP_H_
#define TFLM_KERNELS_CORTEX_M_STORE_PAIR_DSP_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/fixed_point_dsp.h"
#include "tflm_kernels/portable/feature_map.h"

namespace quantmcu {
namespace dsp {

class PairStore {
 public:
  // first, second: where the runs of the two pixels start; they may be one.
  PairStore(const FeatureMap& output, const Clamp& clamp, uint8_t* first, uint8_t* second)
      : first_(first),
        second_(second),
        zero_point_(output.zero_point),
        bits_(output.bits),
        field_mask_(((1u << output.bits) - 1) * 0x00010001u),
        min_(PackLowHalves(clamp.min, clamp.min)),
        max_(PackLowHalves(clamp.max, clamp.max)) {}

  // The next channel's sums.
  void Put(int32_t first_sum, int32_t second_sum, const FixedPoint& factor) {
    if (IsSmallFactor(factor)) {
      const SmallFactor small = MakeSmallFactor(factor);
      PutValues(MultiplyAdd(first_sum, small, zero_point_),
                MultiplyAdd(second_sum, small, zero_point_));
    } else {
      const AnyFactor any = MakeAnyFactor(factor);
      PutValues(MultiplyAdd(first_sum, any, zero_point_),
                MultiplyAdd(second_sum, any, zero_point_));
    }
  }

  // After the last channel.
  void Finish() {
    if (used_bits_ > 0) Flush();
  }

 private:
  void PutValues(int32_t first, int32_t second) {
    uint32_t pair = PackLowHalves(__ssat(first, 16), __ssat(second, 16));
    pair = SmallerHalves(LargerHalves(pair, min_), max_);
    gathered_ |= (pair & field_mask_) << used_bits_;
    used_bits_ += bits_;
    if (used_bits_ == 8) Flush();
  }

  void Flush() {
    *first_++ = static_cast<uint8_t>(gathered_);
    *second_++ = static_cast<uint8_t>(gathered_ >> 16);
    gathered_ = 0;
    used_bits_ = 0;
  }

  static uint32_t LargerHalves(uint32_t a, uint32_t b) {
    __ssub16(a, b);
    return __sel(a, b);
  }

  static uint32_t SmallerHalves(uint32_t a, uint32_t b) {
    __ssub16(a, b);
    return __sel(b, a);
  }

  uint8_t* first_;
  uint8_t* second_;
  const int32_t zero_point_;
  const int32_t bits_;
  const uint32_t field_mask_;
  const uint32_t min_;
  const uint32_t max_;
  uint32_t gathered_ = 0;
  int32_t used_bits_ = 0;
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_STORE_PAIR_DSP_H_
