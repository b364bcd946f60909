// Add with the DSP extension.
//
// What is gained: by law A4 the input with the larger scale has the factor 1/2, so its rescaling is
// a shift; the other factors are multiplied inline (fixed_point.h), four values in one go. Rows
// without padding bits are one run.
// Calls the reference for factors that A4 gives only to extreme scales or not at all: no input's is
// 1/2, the other's is 0 or more than 1, the output's is 0 or 1/2 and more.
// At -O3 GCC only makes the loops over runs larger.
#ifndef __clang__
#pragma GCC optimize("O2")
#endif

#include "tflm_kernels/portable/ops/add.h"

#include "tflm_kernels/cortex_m/dsp/fixed_point.h"
#include "tflm_kernels/cortex_m/dsp/four_values.h"
#include "tflm_kernels/cortex_m/dsp/kernels.h"

namespace quantmcu {
namespace dsp {
namespace {

constexpr int32_t kLeftShift = 20;

struct Operands {
  SmallFactor factor;  // of `scaled`
  SmallFactor output_factor;
  int32_t minus_halved_zero_point;  // times 2^19
  int32_t scaled_zero_point;        // times 2^20
  int32_t output_zero_point;
  ClampBytes clamp;
};

struct Bits {
  int32_t halved;
  int32_t scaled;
  int32_t output;
};

// kIsShifted: the shift of `scaled` is negative, else 0.
template <bool kIsShifted>
inline int32_t Sum(int32_t halved, int32_t scaled, const Operands& op) {
  const int32_t x = WrappingShiftLeft(scaled, kLeftShift) - op.scaled_zero_point;
  const int32_t rescaled =
      kIsShifted ? MultiplyAdd(x, op.factor, op.minus_halved_zero_point)
                 : Smmlar(x, op.factor.doubled_multiplier, x) + op.minus_halved_zero_point;
  return MultiplyAdd(WrappingShiftLeft(halved, kLeftShift - 1) + rescaled, op.output_factor,
                     op.output_zero_point);
}

// kBits: the width of all three maps, or 0 where they differ.
template <int kBits>
inline uint32_t LoadFields(const uint8_t* run, int32_t bits) {
  if (kBits == 4) return LoadHalf(run);
  if (kBits == 2) return run[0];
  return LoadFour(run, kBits == 0 ? bits : kBits);
}

// A value of what LoadFields gives: of kBits 4 and 2 as it is packed, else an int8.
template <int kBits, int kIndex>
inline int32_t Value(uint32_t fields) {
  constexpr int32_t kWidth = kBits == 0 ? 8 : kBits;
  return static_cast<int32_t>(fields << (32 - kWidth * (kIndex + 1))) >> (32 - kWidth);
}

template <bool kIsShifted, int kBits>
inline uint32_t SumOfFour(uint32_t halved, uint32_t scaled, const Operands& op) {
  return ClampedBytes(Sum<kIsShifted>(Value<kBits, 0>(halved), Value<kBits, 0>(scaled), op),
                      Sum<kIsShifted>(Value<kBits, 1>(halved), Value<kBits, 1>(scaled), op),
                      Sum<kIsShifted>(Value<kBits, 2>(halved), Value<kBits, 2>(scaled), op),
                      Sum<kIsShifted>(Value<kBits, 3>(halved), Value<kBits, 3>(scaled), op),
                      op.clamp);
}

using AddRunFn = void(const Operands& operands, const Bits& widths, int32_t count,
                      const uint8_t* halved, const uint8_t* scaled, uint8_t* run);

// The last 1 to 3 values of a run, made four.
[[gnu::noinline]] void AddLast(AddRunFn* add_run, const Operands& op, const Bits& bits,
                               int32_t count, const uint8_t* halved, const uint8_t* scaled,
                               uint8_t* run) {
  uint32_t fours[3] = {};  // of both inputs and the output
  auto* const values = reinterpret_cast<uint8_t*>(fours);
  memcpy(values, halved, static_cast<size_t>(RunBytes(count, bits.halved)));
  memcpy(values + 4, scaled, static_cast<size_t>(RunBytes(count, bits.scaled)));
  add_run(op, bits, 4, values, values + 4, values + 8);
  for (int32_t i = 0; i < count; ++i) {
    StoreValue(run, i, bits.output, LoadValue(values + 8, i, bits.output));
  }
}

template <bool kIsShifted, int kBits>
void AddRun(const Operands& operands, const Bits& widths, int32_t count, const uint8_t* halved,
            const uint8_t* scaled, uint8_t* run) {
  const Operands op = operands;  // a copy, which no store can change
  const Bits bits = kBits == 0 ? widths : Bits{kBits, kBits, kBits};
  for (; count >= 4; count -= 4) {
    StoreFour(run, bits.output,
              SumOfFour<kIsShifted, kBits>(LoadFields<kBits>(halved, bits.halved),
                                           LoadFields<kBits>(scaled, bits.scaled), op));
    halved += FourValuesBytes(bits.halved);
    scaled += FourValuesBytes(bits.scaled);
    run += FourValuesBytes(bits.output);
  }
  if (count > 0) {
    AddLast(AddRun<kIsShifted, kBits>, operands, widths, count, halved, scaled, run);
  }
}

// What depends on the widths.
struct Variant {
  AddRunFn* shifted;
  AddRunFn* unshifted;
};

// Whether every byte of a row holds values, none padding.
bool IsRowOneRun(const FeatureMap& map) { return map.channels * map.bits % 8 == 0; }

// halved: the input whose factor is 1/2.
void AddHalved(const FeatureMap& halved_map, const FeatureMap& scaled_map, const FixedPoint& factor,
               const AddParams& params, const Variant& variant, const uint8_t* halved,
               const uint8_t* scaled, uint8_t* output) {
  const FeatureMap& out = params.output;
  const Operands op = {MakeSmallFactor(factor),
                       MakeSmallFactor(params.multipliers.output),
                       -WrappingShiftLeft(halved_map.zero_point, kLeftShift - 1),
                       WrappingShiftLeft(scaled_map.zero_point, kLeftShift),
                       out.zero_point,
                       MakeClampBytes(params.clamp)};
  const bool is_one_run = IsRowOneRun(halved_map) && IsRowOneRun(scaled_map) && IsRowOneRun(out);
  const int32_t num_runs = is_one_run ? 1 : out.width;
  const int32_t run_length = is_one_run ? out.width * out.channels : out.channels;
  const Bits bits = {halved_map.bits, scaled_map.bits, out.bits};
  AddRunFn* const add_run = factor.shift < 0 ? variant.shifted : variant.unshifted;
  for (int32_t y = 0; y < out.height; ++y) {
    for (int32_t x = 0; x < num_runs; ++x) {
      add_run(op, bits, run_length, halved + PixelOffset(halved_map, y, x),
              scaled + PixelOffset(scaled_map, y, x), output + PixelOffset(out, y, x));
    }
  }
}

// Of a call that IsFast.
void Run(const AddParams& params, const Variant& variant, const uint8_t* input0,
         const uint8_t* input1, uint8_t* output) {
  const AddMultipliers& m = params.multipliers;
  if (IsHalf(m.input0) && IsAtMostOne(m.input1)) {
    AddHalved(params.input0, params.input1, m.input1, params, variant, input0, input1, output);
  } else {
    AddHalved(params.input1, params.input0, m.input0, params, variant, input1, input0, output);
  }
}

}  // namespace

template <int kBits>
void AddOf(const AddParams& params, const uint8_t* input0, const uint8_t* input1, uint8_t* output) {
  static constexpr Variant kVariant = {AddRun<true, kBits>, AddRun<false, kBits>};
  Run(params, kVariant, input0, input1, output);
}

void Add(const AddParams& params, const uint8_t* input0, const uint8_t* input1, uint8_t* output) {
  const int32_t bits = CommonBits(params);
  AddFn* const run = !IsFast(params) ? reference::Add
                     : bits == 8     ? AddOf<8>
                     : bits == 4     ? AddOf<4>
                     : bits == 2     ? AddOf<2>
                                     : AddOf<0>;
  run(params, input0, input1, output);
}

}  // namespace dsp
}  // namespace quantmcu
