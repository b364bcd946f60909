// Add for MVE, at all widths: sixteen values at a time, over whole rows where pixels have no unused
// bits.
//
// (x - z) * 2^s is one VMLAS, x * 2^s + (-z * 2^s), with the left shift of A1 in s. By law A4 the input with the larger
// scale has the factor 1/2, so that its rescaling is exact, and a product with 2^19; where the other factor is no more
// than 1 and the output's less than 1/2, neither shifts left.
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

// The sum where `halved` has the factor 1/2.
struct Halved {
  int32_t halved_offset;     // -z * 2^19
  int32x4_t power;           // 2^20
  int32_t scaled_offset;     // -z * 2^20
  UniformFixedPoint factor;  // of `scaled`
  FixedPoint output_factor;
  int32_t zero_point;
  Clamp clamp;
};

// As fixed_point.h does it, of a true right shift.
inline int32x4_t MultiplyShifted(int32x4_t x, const FixedPoint& factor) {
  const int32x4_t high = vqrdmulhq_n_s32(x, factor.multiplier);
  return vrshlq_n_s32(vqaddq_s32(high, vshrq_n_s32(high, 31)), factor.shift);
}

inline int32x4_t SumHalved(int32x4_t halved, int32x4_t scaled, const Halved& op) {
  const int32x4_t x = vmlasq_n_s32(scaled, op.power, op.scaled_offset);
  const int32x4_t sum = vmlaq_n_s32(MultiplyRight(x, op.factor), halved, 1 << (kLeftShift - 1));
  return MultiplyShifted(vaddq_n_s32(sum, op.halved_offset), op.output_factor);
}

// Wide sums become narrow ones as they come, for few registers hold all.
inline int16x8_t SumHalved(int16x8_t halved, int16x8_t scaled, const Halved& op) {
  const int32x4_t even = SumHalved(vmovlbq_s16(halved), vmovlbq_s16(scaled), op);
  const int16x8_t sums = vqmovnbq_s32(vreinterpretq_s16_s32(even), even);
  const int32x4_t odd = SumHalved(vmovltq_s16(halved), vmovltq_s16(scaled), op);
  return vqaddq_n_s16(vqmovntq_s32(sums, odd), static_cast<int16_t>(op.zero_point));
}

inline int8x16_t SumHalved(int8x16_t halved, int8x16_t scaled, const Halved& op) {
  const int16x8_t even = SumHalved(vmovlbq_s8(halved), vmovlbq_s8(scaled), op);
  const int8x16_t sums = vqmovnbq_s16(vreinterpretq_s8_s16(even), even);
  return Clamped(vqmovntq_s16(sums, SumHalved(vmovltq_s8(halved), vmovltq_s8(scaled), op)),
                 op.clamp);
}

int32_t Narrowest(const AddParams& params) {
  const int32_t inputs =
      params.input0.bits < params.input1.bits ? params.input0.bits : params.input1.bits;
  return inputs < params.output.bits ? inputs : params.output.bits;
}

// A run of values of each map.
struct Run {
  const uint8_t* input0;
  const uint8_t* input1;
  uint8_t* output;
  int32_t length;
};

template <typename SumFn>
inline void AddRun(const AddParams& params, Run run, SumFn sum) {
  const int32_t bits0 = params.input0.bits;
  const int32_t bits1 = params.input1.bits;
  const int32_t bits = params.output.bits;
  for (; run.length > 0; run.length -= kLanes) {
    const int8x16_t x0 = LoadBlock(run.input0, bits0, run.length);
    const int8x16_t x1 = LoadBlock(run.input1, bits1, run.length);
    StoreBlock(run.output, bits, sum(x0, x1), run.length);
    run.input0 += kLanes * bits0 / 8;
    run.input1 += kLanes * bits1 / 8;
    run.output += kLanes * bits / 8;
  }
}

// Calls add(run) for all runs of the maps.
template <typename AddFn>
inline void ForEachRun(const AddParams& params, const uint8_t* input0, const uint8_t* input1,
                       uint8_t* output, AddFn add) {
  const FeatureMap& out = params.output;
  const Runs runs = PixelRuns(out.width, out.channels, Narrowest(params));
  for (int32_t y = 0; y < out.height; ++y) {
    Run run = {input0 + y * params.input0.row_bytes, input1 + y * params.input1.row_bytes,
               output + y * out.row_bytes, runs.length};
    for (int32_t r = 0; r < runs.count; ++r) {
      add(run);
      run.input0 += RunBytes(runs.length, params.input0.bits);
      run.input1 += RunBytes(runs.length, params.input1.bits);
      run.output += RunBytes(runs.length, out.bits);
    }
  }
}

// The last values of a run, from i on, fewer than a vector.
[[gnu::noinline]] void AddLast(const Run& run, int32_t i, const Halved& op) {
  const int32_t count = run.length - i;
  const int8x16_t x0 = LoadLanes<8>(run.input0 + i, count);
  const int8x16_t x1 = LoadLanes<8>(run.input1 + i, count);
  StoreLanes(run.output + i, 8, SumHalved(x0, x1, op), count);
}

// Of maps of 8 bits.
[[gnu::noinline]] void AddHalved(const AddParams& params, const Halved& given,
                                 const uint8_t* halved, const uint8_t* scaled, uint8_t* output) {
  const Halved op = given;  // which no store can change
  ForEachRun(params, halved, scaled, output, [&op](const Run& run) {
    int32_t i = 0;
    for (; i + kLanes <= run.length; i += kLanes) {
      const int8x16_t x0 = LoadLanes<8>(run.input0 + i);
      const int8x16_t x1 = LoadLanes<8>(run.input1 + i);
      StoreLanes(run.output + i, 8, SumHalved(x0, x1, op));
    }
    if (i < run.length) AddLast(run, i, op);
  });
}

[[gnu::noinline]] void AddAny(const AddParams& params, const uint8_t* input0, const uint8_t* input1,
                              uint8_t* output) {
  const Addition addition = {{MakeAddend(params.input0, params.multipliers.input0),
                              MakeAddend(params.input1, params.multipliers.input1)},
                             Uniform(params.multipliers.output),
                             params.output.zero_point,
                             params.clamp};
  const auto sum = [&](int8x16_t x0, int8x16_t x1) { return Sum(x0, x1, addition); };
  ForEachRun(params, input0, input1, output, [&](const Run& run) { AddRun(params, run, sum); });
}

bool IsHalf(const FixedPoint& factor) { return factor.multiplier == 1 << 30 && factor.shift == 0; }

}  // namespace

void Add(const AddParams& params, const uint8_t* input0, const uint8_t* input1, uint8_t* output) {
  const AddMultipliers& factors = params.multipliers;
  if (!IsHalf(factors.input0) && IsHalf(factors.input1)) {
    AddParams swapped = params;
    swapped.input0 = params.input1;
    swapped.input1 = params.input0;
    swapped.multipliers.input0 = factors.input1;
    swapped.multipliers.input1 = factors.input0;
    return Add(swapped, input1, input0, output);
  }
  const FeatureMap& out = params.output;
  const bool is_bytes = params.input0.bits == 8 && params.input1.bits == 8 && out.bits == 8;
  if (!is_bytes || !IsHalf(factors.input0) || factors.input1.shift > 0 ||
      factors.output.shift >= 0) {
    return AddAny(params, input0, input1, output);
  }
  const Halved op = {-params.input0.zero_point * (1 << (kLeftShift - 1)),
                     vdupq_n_s32(1 << kLeftShift),
                     -params.input1.zero_point * (1 << kLeftShift),
                     Uniform(factors.input1),
                     factors.output,
                     params.output.zero_point,
                     params.clamp};
  AddHalved(params, op, input0, input1, output);
}

}  // namespace mve
}  // namespace quantmcu
