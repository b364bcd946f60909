// Add for MVE, at all widths: sixteen values at a time, over whole rows where pixels have no unused
// bits.
//
// (x - z) * 2^s is one VMLAS, x * 2^s + (-z * 2^s), with the left shift of A1 in s.
#include "tflm_kernels/cortex_m/mve/channel_block.h"
#include "tflm_kernels/cortex_m/mve/kernels.h"

namespace quantmcu {
namespace mve {
namespace {

constexpr int32_t kLeftShift = 20;

struct Addend {
  UniformFixedPoint factor;
  int32x4_t power;  // 2^s modulo 2^32
  int32_t offset;
};

Addend MakeAddend(const FeatureMap& map, const FixedPoint& multiplier) {
  const UniformFixedPoint factor = Uniform(multiplier);
  const int32_t shift = kLeftShift + factor.left;
  const int32_t power = shift < 32 ? static_cast<int32_t>(1u << shift) : 0;
  const uint32_t offset = 0u - static_cast<uint32_t>(map.zero_point) * static_cast<uint32_t>(power);
  return {factor, vdupq_n_s32(power), static_cast<int32_t>(offset)};
}

inline int32x4_t Scaled(int32x4_t x, const Addend& addend) {
  return MultiplyRight(vmlasq_n_s32(x, addend.power, addend.offset), addend.factor);
}

struct Addition {
  Addend addends[2];
  UniformFixedPoint factor;
  int32_t zero_point;
  Clamp clamp;
};

inline int8x16_t Sum(int8x16_t x0, int8x16_t x1, const Addition& addition) {
  WideSums a = Widened(x0);
  const WideSums b = Widened(x1);
#pragma GCC unroll 4
  for (int v = 0; v < kWideVectors; ++v) {
    const int32x4_t sum = vaddq_s32(Scaled(a.vectors[v], addition.addends[0]),
                                    Scaled(b.vectors[v], addition.addends[1]));
    a.vectors[v] = vaddq_n_s32(Multiply(sum, addition.factor), addition.zero_point);
  }
  return Clamped(Narrowed(a), addition.clamp);
}

int32_t Narrowest(const AddParams& params) {
  const int32_t inputs =
      params.input0.bits < params.input1.bits ? params.input0.bits : params.input1.bits;
  return inputs < params.output.bits ? inputs : params.output.bits;
}

}  // namespace

void Add(const AddParams& params, const uint8_t* input0, const uint8_t* input1, uint8_t* output) {
  const FeatureMap& in0 = params.input0;
  const FeatureMap& in1 = params.input1;
  const FeatureMap& out = params.output;
  const Addition addition = {
      {MakeAddend(in0, params.multipliers.input0), MakeAddend(in1, params.multipliers.input1)},
      Uniform(params.multipliers.output),
      out.zero_point,
      params.clamp};
  const Runs runs = PixelRuns(out.width, out.channels, Narrowest(params));
  for (int32_t y = 0; y < out.height; ++y) {
    const uint8_t* run0 = input0 + y * in0.row_bytes;
    const uint8_t* run1 = input1 + y * in1.row_bytes;
    uint8_t* run = output + y * out.row_bytes;
    for (int32_t r = 0; r < runs.count; ++r) {
      for (int32_t i = 0; i < runs.length; i += kLanes) {
        const int32_t count = runs.length - i;
        const int8x16_t x0 = LoadBlock(run0 + i * in0.bits / 8, in0.bits, count);
        const int8x16_t x1 = LoadBlock(run1 + i * in1.bits / 8, in1.bits, count);
        StoreBlock(run + i * out.bits / 8, out.bits, Sum(x0, x1, addition), count);
      }
      run0 += RunBytes(runs.length, in0.bits);
      run1 += RunBytes(runs.length, in1.bits);
      run += RunBytes(runs.length, out.bits);
    }
  }
}

}  // namespace mve
}  // namespace quantmcu
