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

template <int kBits, typename Sums>
void Run(const Pool2DParams& params, const uint8_t* input, uint8_t* output) {
  const Rescale rescale = MakeRescale(params.input, params.output, params.multiplier, params.clamp);
  ForEachPoolBlock(params, input, output, [&](const PoolTaps& taps, uint8_t* bytes, int32_t count) {
    Sums sums = ZeroSums<Sums>();
    ForEachTap<kBits>(params.input, taps, count, [&](int8x16_t values) {
      AddLanes(vmovlbq_s8(values), vmovltq_s8(values), &sums);
    });
    const int32_t num_taps = taps.height * taps.width;
    const uint32_t divisor = static_cast<uint32_t>(num_taps);
    const uint32_t reciprocal = ((1u << 31) + divisor - 1) / divisor;
    WideSums averages = Widened(sums);
#pragma GCC unroll 4
    for (int v = 0; v < kWideVectors; ++v) {
      averages.vectors[v] = Divided(averages.vectors[v], num_taps, reciprocal);
    }
    StoreBlock(bytes, params.output.bits, Rescaled(Narrowed(averages), rescale), count);
  });
}

template <int kBits>
void Run(const Pool2DParams& params, const uint8_t* input, uint8_t* output) {
  if (params.window.kernel_height * params.window.kernel_width <= kMaxNarrowTaps) {
    Run<kBits, NarrowSums>(params, input, output);
  } else {
    Run<kBits, WideSums>(params, input, output);
  }
}

}  // namespace

void AveragePool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output) {
  if (params.window.kernel_height * params.window.kernel_width > kMaxTaps) {
    reference::AveragePool2D(params, input, output);
  } else if (params.input.bits == 8) {
    Run<8>(params, input, output);
  } else if (params.input.bits == 4) {
    Run<4>(params, input, output);
  } else {
    Run<2>(params, input, output);
  }
}

}  // namespace mve
}  // namespace quantmcu
