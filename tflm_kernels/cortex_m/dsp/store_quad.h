// cortex_m/dsp/store_quad.h - requantises and stores the sums of two output pixels, two channels at a
// time.
//
// What is gained: a channel's factor is loaded once for both pixels, four results are clamped in one
// word, and they leave as halfwords (8 bits), bytes (4 bits) or half bytes (2 bits) of each pixel.
// Source   written from docs/arithmetic.md A3 and docs/format.md F2.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_STORE_QUAD_H_
#define TFLM_KERNELS_CORTEX_M_DSP_STORE_QUAD_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/fixed_point.h"
#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {
namespace dsp {

// Of two pixels (first, second) and two channels (0, 1).
struct Quad {
  int32_t first0;
  int32_t second0;
  int32_t first1;
  int32_t second1;
};

class QuadStore {
 public:
  // first, second: where the runs of the two pixels start; they may be one.
  QuadStore(const FeatureMap& output, const Clamp& clamp, uint8_t* first, uint8_t* second)
      : first_(first),
        second_(second),
        clamp_(MakeClampBytes(clamp)),
        zero_point_(output.zero_point),
        bits_(output.bits) {}

  // The sums [channel][pixel] of the next two channels; multiplier and shift point at theirs. By
  // value: an array whose address leaves would live in memory.
  [[gnu::always_inline]] void Put(Quad sums, FixedPoint factor0, FixedPoint factor1) {
    const SmallFactor small0 = MakeSmallFactor(factor0);
    const SmallFactor small1 = MakeSmallFactor(factor1);
    // Negative if both are small, see IsSmallFactor.
    const int32_t are_small =
        small0.doubled_multiplier & small1.doubled_multiplier & factor0.shift & factor1.shift;
    if (are_small < 0) {
      PutWith(sums, small0, small1);
    } else {
      PutAny(sums, factor0, factor1);
    }
  }

  // The last channel of an odd number.
  void PutLast(int32_t first_sum, int32_t second_sum, const FixedPoint& factor) {
    const AnyFactor any = MakeAnyFactor(factor);
    const int32_t first = MultiplyAdd(first_sum, any, zero_point_);
    const int32_t second = MultiplyAdd(second_sum, any, zero_point_);
    const uint32_t quad = ClampedBytes(first, 0, second, 0, clamp_) & 0x00FF00FFu;
    if (bits_ == 8) {
      *first_ = static_cast<uint8_t>(quad);
      *second_ = static_cast<uint8_t>(quad >> 16);
    } else {
      StoreFields(quad);
    }
  }

 private:
  [[gnu::noinline]] void PutAny(Quad sums, FixedPoint factor0, FixedPoint factor1) {
    PutWith(sums, MakeAnyFactor(factor0), MakeAnyFactor(factor1));
  }

  template <typename Factor>
  [[gnu::always_inline]] void PutWith(const Quad& sums, const Factor& factor0,
                                      const Factor& factor1) {
    const uint32_t quad = ClampedBytes(MultiplyAdd(sums.first0, factor0, zero_point_),
                                       MultiplyAdd(sums.first1, factor1, zero_point_),
                                       MultiplyAdd(sums.second0, factor0, zero_point_),
                                       MultiplyAdd(sums.second1, factor1, zero_point_), clamp_);
    if (bits_ == 8) {
      StoreHalf(first_, quad);
      StoreHalf(second_, quad >> 16);
      first_ += 2;
      second_ += 2;
    } else {
      StoreFields(quad);
    }
  }

  // Two neighbouring values of each pixel, of 4 or 2 bits.
  void StoreFields(uint32_t quad) {
    if (bits_ == 4) {
      quad &= 0x0F0F0F0Fu;
      quad |= quad >> 4;
      *first_++ = static_cast<uint8_t>(quad);
      *second_++ = static_cast<uint8_t>(quad >> 16);
    } else {
      quad &= 0x03030303u;
      quad |= quad >> 6;
      StoreHalfBytes(quad);
    }
  }

  void StoreHalfBytes(uint32_t quad) {
    if (half_bytes_ == kNone) {
      half_bytes_ = quad & 0x000F000Fu;
      *first_ = static_cast<uint8_t>(half_bytes_);
      *second_ = static_cast<uint8_t>(half_bytes_ >> 16);
    } else {
      quad = half_bytes_ | quad << 4;
      *first_++ = static_cast<uint8_t>(quad);
      *second_++ = static_cast<uint8_t>(quad >> 16);
      half_bytes_ = kNone;
    }
  }

  static constexpr uint32_t kNone = 0xFFFFFFFFu;

  uint8_t* first_;
  uint8_t* second_;
  const ClampBytes clamp_;
  const int32_t zero_point_;
  const int32_t bits_;
  uint32_t half_bytes_ = kNone;  // the lower halves of bytes that lack the upper ones
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_STORE_QUAD_H_
