// SumPixels for MVE, at all widths: sixteen channels of a pixel, in int16 sums up to 255 pixels.
#include "tflm_kernels/portable/ops/pixel_sums.h"

#include "tflm_kernels/cortex_m/mve/kernels.h"
#include "tflm_kernels/cortex_m/mve/pool2d.h"

namespace quantmcu {
namespace mve {
namespace {

constexpr int32_t kMaxNarrowPixels = 255;  // times -128 it fits int16

// Adds a block's sums to those of its `count` channels.
inline void Add(const WideSums& block, int32_t count, int32_t* sums) {
  const uint32x4_t limit = vdupq_n_u32(static_cast<uint32_t>(count));
#pragma GCC unroll 4
  for (int v = 0; v < kWideVectors; ++v) {
    const uint32_t first = static_cast<uint32_t>(WideChannel(v, 0));
    const uint32x4_t channels = vaddq_n_u32(vshlq_n_u32(vidupq_n_u32(0, 1), 2), first);
    const mve_pred16_t inside = vcmphiq_u32(limit, channels);
    const int32x4_t before = vldrwq_gather_shifted_offset_z_s32(sums, channels, inside);
    const int32x4_t behind = vaddq_s32(before, block.vectors[v]);
    vstrwq_scatter_shifted_offset_p_s32(sums, channels, behind, inside);
  }
}

template <int kBits, typename Sums>
void Run(const FeatureMap& input, const uint8_t* pixels, int32_t* sums) {
  for (int32_t c = 0; c < input.channels; c += kLanes) {
    const int32_t count = input.channels - c;
    Sums block = ZeroSums<Sums>();
    ForEachTap<kBits>(
        input, {pixels + c * kBits / 8, input.height, input.width}, count,
        [&](int8x16_t values) { AddLanes(vmovlbq_s8(values), vmovltq_s8(values), &block); });
    Add(Widened(block), count, sums + c);
  }
}

template <int kBits>
void Run(const FeatureMap& input, const uint8_t* pixels, int32_t* sums) {
  if (input.height * input.width <= kMaxNarrowPixels) {
    Run<kBits, NarrowSums>(input, pixels, sums);
  } else {
    Run<kBits, WideSums>(input, pixels, sums);
  }
}

}  // namespace

void SumPixels(const FeatureMap& input, const uint8_t* pixels, int32_t* sums) {
  if (input.bits == 8) {
    Run<8>(input, pixels, sums);
  } else if (input.bits == 4) {
    Run<4>(input, pixels, sums);
  } else {
    Run<2>(input, pixels, sums);
  }
}

}  // namespace mve
}  // namespace quantmcu
