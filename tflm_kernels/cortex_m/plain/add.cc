// Add without DSP.
//
// What is gained: by law A4 an input has at most 9 bits before its rescaling, so that its product takes two
// multiplications of 32 bits, and none where the factor is 1/2; rows of bytes are one run.
// Calls the reference for factors of inputs above 1, which A4 gives not at all.
#include "tflm_kernels/cortex_m/plain/fixed_point.h"
#include "tflm_kernels/cortex_m/plain/is_fast.h"
#include "tflm_kernels/cortex_m/plain/kernels.h"

namespace quantmcu {
namespace plain {
namespace {

constexpr int32_t kLeftShift = 20;

// multiply((value - zero_point) << kLeftShift, factor), factor.shift <= 0.
struct InputScale {
  InputScale(const FeatureMap& map, const FixedPoint& factor)
      : zero_point(map.zero_point),
        high(factor.multiplier >> 16),
        low(factor.multiplier & 0xFFFF),
        right(-1 - factor.shift),
        is_half(factor.multiplier == 1 << 30 && factor.shift == 0) {}

  // The product, 2^20 of it divided by 2^31, is the first one's 2^5 and of the second what 2^11 leaves.
  int32_t Scaled(int32_t value) const {
    const int32_t x = value - zero_point;
    if (is_half) return WrappingShiftLeft(x, kLeftShift - 1);
    const int32_t x2 = WrappingShiftLeft(x * high, 5) + ((x * low + (1 << 10)) >> 11);
    return right < 0 ? x2 : (((x2 + (x2 >> 31)) >> right) + 1) >> 1;
  }

  int32_t zero_point;
  int32_t high;
  int32_t low;
  int32_t right;
  bool is_half;
};

struct Sum {
  InputScale input0;
  InputScale input1;
  FixedPoint factor;
  int32_t zero_point;
  Clamp clamp;

  int32_t Of(int32_t x0, int32_t x1) const {
    const int32_t sum = WrappingAdd(input0.Scaled(x0), input1.Scaled(x1));
    return Rescaled(sum, factor, zero_point, clamp);
  }
};

void AddBytes(const Sum& of, int32_t count, const uint8_t* x0, const uint8_t* x1, uint8_t* y) {
  const Sum sum = of;  // a copy, which no store can change
  for (; count > 0; --count) {
    *y++ = static_cast<uint8_t>(sum.Of(static_cast<int8_t>(*x0++), static_cast<int8_t>(*x1++)));
  }
}

void AddFields(const Sum& sum, const AddParams& params, const uint8_t* x0, const uint8_t* x1,
               uint8_t* y) {
  for (int32_t c = 0; c < params.output.channels; ++c) {
    StoreValue(y, c, params.output.bits,
               sum.Of(LoadValue(x0, c, params.input0.bits), LoadValue(x1, c, params.input1.bits)));
  }
}

}  // namespace

template <int kBits>
void AddOf(const AddParams& params, const uint8_t* input0, const uint8_t* input1, uint8_t* output) {
  const FeatureMap& out = params.output;
  const AddMultipliers& m = params.multipliers;
  const Sum sum = {
      {params.input0, m.input0}, {params.input1, m.input1}, m.output, out.zero_point, params.clamp};
  for (int32_t y = 0; y < out.height; ++y) {
    const uint8_t* x0 = input0 + PixelOffset(params.input0, y, 0);
    const uint8_t* x1 = input1 + PixelOffset(params.input1, y, 0);
    uint8_t* run = output + PixelOffset(out, y, 0);
    if constexpr (kBits == 8) {
      AddBytes(sum, out.width * out.channels, x0, x1, run);
    } else {
      for (int32_t x = 0; x < out.width; ++x) {
        AddFields(sum, params, x0, x1, run);
        x0 += PixelBytes(params.input0);
        x1 += PixelBytes(params.input1);
        run += PixelBytes(out);
      }
    }
  }
}

void Add(const AddParams& params, const uint8_t* input0, const uint8_t* input1, uint8_t* output) {
  AddFn* const run = !IsFast(params)           ? reference::Add
                     : CommonBits(params) == 8 ? AddOf<8>
                                               : AddOf<0>;
  run(params, input0, input1, output);
}

template AddFn AddOf<4>;
template AddFn AddOf<2>;

}  // namespace plain
}  // namespace quantmcu
