// AveragePool2D for MVE, at all widths: sixteen channels a tap, in int16 sums up to 255 taps, and a
// multiplication for each division.
//
// With t = |sum| + n / 2 and r = ceil(2^31 / n) = (2^31 + e) / n, 0 <= e < n, t * r / 2^31 exceeds
// t / n by t * e / 2^31 / n: less than the 1 / n that could reach the next integer as t * n < 2^31,
// which 129 * n^2 < 2^31 ensures.
// Windows of more than kMaxTaps taps go to the reference.
#include "tflm_kernels/portable/ops/average_pool2d.h"

#include "tflm_kernels/cortex_m/mve/kernels.h"
#include "tflm_kernels/cortex_m/mve/pool2d.h"

namespace quantmcu {
namespace mve {
namespace {

constexpr int32_t kMaxTaps = 4000;
constexpr int32_t kMaxNarrowTaps = 255;  // times -128 it fits int16

// Halves away from zero, docs/arithmetic.md A5.
inline int32x4_t Divided(int32x4_t sums, int32_t num_taps, uint32_t reciprocal) {
  const int32x4_t magnitude = vaddq_n_s32(vabsq_s32(sums), num_taps / 2);
  const uint32x4_t twice = vshlq_n_u32(vreinterpretq_u32_s32(magnitude), 1);
  const int32x4_t quotient = vreinterpretq_s32_u32(vmulhq_u32(twice, vdupq_n_u32(reciprocal)));
  return vnegq_m_s32(quotient, quotient, vcmpltq_n_s32(sums, 0));
}

// The sums of a block over the taps: in int16 as long as these cannot overflow.
template <bool kIsBytes>
[[gnu::noinline]] WideSums SumTaps(const FeatureMap& input, const PoolTaps& taps, int32_t count) {
  const mve_pred16_t inside = vctp8q(static_cast<uint32_t>(count));
  const int32_t pixel_bytes = PixelBytes(input);
  WideSums sums = ZeroSums<WideSums>();
  NarrowSums narrow = ZeroSums<NarrowSums>();
  int32_t room = kMaxNarrowTaps;
  const uint8_t* row = taps.pixels;
  for (int32_t y = taps.height; y > 0; --y, row += input.row_bytes) {
    const uint8_t* pixel = row;
    for (int32_t x = taps.width; x > 0; --x, pixel += pixel_bytes) {
      const int8x16_t values = kIsBytes          ? vreinterpretq_s8_u8(vldrbq_z_u8(pixel, inside))
                               : input.bits == 4 ? LoadBlock<4>(pixel, count)
                                                 : LoadBlock<2>(pixel, count);
      AddLanes(vmovlbq_s8(values), vmovltq_s8(values), &narrow);
      if (--room == 0) {
        AddLanes(narrow.even, narrow.odd, &sums);
        narrow = ZeroSums<NarrowSums>();
        room = kMaxNarrowTaps;
      }
    }
  }
  AddLanes(narrow.even, narrow.odd, &sums);
  return sums;
}

void Run(const Pool2DParams& params, const uint8_t* input, uint8_t* output) {
  const Rescale rescale = MakeRescale(params.input, params.output, params.multiplier, params.clamp);
  ForEachPoolBlock(params, input, output, [&](const PoolTaps& taps, uint8_t* bytes, int32_t count) {
    WideSums averages = params.input.bits == 8 ? SumTaps<true>(params.input, taps, count)
                                               : SumTaps<false>(params.input, taps, count);
    const int32_t num_taps = taps.height * taps.width;
    const uint32_t divisor = static_cast<uint32_t>(num_taps);
    const uint32_t reciprocal = ((1u << 31) + divisor - 1) / divisor;
#pragma GCC unroll 1
    for (int v = 0; v < kWideVectors; ++v) {
      averages.vectors[v] = Divided(averages.vectors[v], num_taps, reciprocal);
    }
    const int8x16_t values = rescale.is_identity ? Clamped(Narrowed(averages), rescale.clamp)
                                                 : Rescaled(averages, rescale);
    StoreBlock(bytes, params.output.bits, values, count);
  });
}

}  // namespace

void AveragePool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output) {
  if (params.window.kernel_height * params.window.kernel_width > kMaxTaps) {
    reference::AveragePool2D(params, input, output);
  } else {
    Run(params, input, output);
  }
}

}  // namespace mve
}  // namespace quantmcu
