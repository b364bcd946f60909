// Add with the DSP extension.
//
// What is gained: by law A4 the input with the larger scale has the factor 1/2, so its rescaling is
// a shift; the other factors are multiplied inline (fixed_point_dsp.h), four values in one go. Rows
// without padding bits are one run.
// Calls the reference for factors that A4 gives only to extreme scales or not at all: no input's is
// 1/2, the other's is 0 or more than 1, the output's is 0 or 1/4 and more.
#include "tflm_kernels/cortex_m/fixed_point_dsp.h"
#include "tflm_kernels/cortex_m/four_values_dsp.h"
#include "tflm_kernels/portable/add.h"

namespace quantmcu {
namespace dsp {
namespace {

constexpr int32_t kLeftShift = 20;

struct Operands {
  AnyFactor factor;           // of `scaled`, whose left shift is 0
  SmallFactor output_factor;
  int32_t halved_zero_point;  // times 2^19
  int32_t scaled_zero_point;  // times 2^20
  int32_t output_zero_point;
  ClampBytes clamp;
};

inline int32_t Sum(int32_t halved, int32_t scaled, const Operands& op) {
  const int32_t a = WrappingShiftLeft(halved, kLeftShift - 1) - op.halved_zero_point;
  const int32_t x = WrappingShiftLeft(scaled, kLeftShift) - op.scaled_zero_point;
  const int32_t x2 = Smmlar(x, op.factor.doubled_multiplier, x);
  const int32_t t = x2 + ((x2 >> 31) & op.factor.sign_rounding);
  const int32_t b = ((t >> op.factor.right) + op.factor.rounding) >> op.factor.rounding;
  return MultiplyAdd(a + b, op.output_factor, op.output_zero_point);
}

inline uint32_t SumOfFour(uint32_t halved, uint32_t scaled, const Operands& op) {
  return ClampedBytes(
      Sum(static_cast<int8_t>(halved), static_cast<int8_t>(scaled), op),
      Sum(static_cast<int8_t>(halved >> 8), static_cast<int8_t>(scaled >> 8), op),
      Sum(static_cast<int8_t>(halved >> 16), static_cast<int8_t>(scaled >> 16), op),
      Sum(static_cast<int8_t>(halved >> 24), static_cast<int8_t>(scaled >> 24), op), op.clamp);
}

void AddRun(const Operands& op, const FeatureMap& halved_map, const FeatureMap& scaled_map,
            const FeatureMap& out, int32_t count, const uint8_t* halved, const uint8_t* scaled,
            uint8_t* run) {
  for (; count >= 4; count -= 4) {
    StoreFour(run, out.bits,
              SumOfFour(LoadFour(halved, halved_map.bits), LoadFour(scaled, scaled_map.bits), op));
    halved += FourValuesBytes(halved_map.bits);
    scaled += FourValuesBytes(scaled_map.bits);
    run += FourValuesBytes(out.bits);
  }
  if (count > 0) {
    StoreLast(run, out.bits, count,
              SumOfFour(LoadLast(halved, halved_map.bits, count),
                        LoadLast(scaled, scaled_map.bits, count), op));
  }
}

bool IsHalf(const FixedPoint& factor) { return factor.multiplier == 1 << 30 && factor.shift == 0; }

bool IsAtMostOne(const FixedPoint& factor) {
  return factor.multiplier >= 1 << 30 && factor.shift <= 0;
}

// Whether every byte of a row holds values, none padding.
bool IsRowOneRun(const FeatureMap& map) { return map.channels * map.bits % 8 == 0; }

// halved: the input whose factor is 1/2.
void AddHalved(const FeatureMap& halved_map, const FeatureMap& scaled_map, const FixedPoint& factor,
               const AddParams& params, const uint8_t* halved, const uint8_t* scaled,
               uint8_t* output) {
  const FeatureMap& out = params.output;
  const Operands op = {MakeAnyFactor(factor),
                       MakeSmallFactor(params.multipliers.output),
                       WrappingShiftLeft(halved_map.zero_point, kLeftShift - 1),
                       WrappingShiftLeft(scaled_map.zero_point, kLeftShift),
                       out.zero_point,
                       MakeClampBytes(params.clamp)};
  const bool is_one_run =
      IsRowOneRun(halved_map) && IsRowOneRun(scaled_map) && IsRowOneRun(out);
  const int32_t num_runs = is_one_run ? 1 : out.width;
  const int32_t run_length = is_one_run ? out.width * out.channels : out.channels;
  for (int32_t y = 0; y < out.height; ++y) {
    for (int32_t x = 0; x < num_runs; ++x) {
      AddRun(op, halved_map, scaled_map, out, run_length, halved + PixelOffset(halved_map, y, x),
             scaled + PixelOffset(scaled_map, y, x), output + PixelOffset(out, y, x));
    }
  }
}

}  // namespace

void Add(const AddParams& params, const uint8_t* input0, const uint8_t* input1, uint8_t* output,
         uint8_t* scratch) {
  const AddMultipliers& m = params.multipliers;
  if (IsHalf(m.input0) && IsAtMostOne(m.input1) && IsSmallFactor(m.output)) {
    AddHalved(params.input0, params.input1, m.input1, params, input0, input1, output);
  } else if (IsHalf(m.input1) && IsAtMostOne(m.input0) && IsSmallFactor(m.output)) {
    AddHalved(params.input1, params.input0, m.input0, params, input1, input0, output);
  } else {
    reference::Add(params, input0, input1, output, scratch);
  }
}

}  // namespace dsp
}  // namespace quantmcu
