#include "tflm_kernels/portable/ops/relations.h"

#include <stddef.h>
#include <string.h>

namespace quantmcu {
namespace reference {
namespace {

constexpr int32_t kLeftShift = 8;

template <typename Value>
bool IsEqual(Value a, Value b) {
  return a == b;
}

template <typename Value>
bool IsOther(Value a, Value b) {
  return a != b;
}

template <typename Value>
bool IsLess(Value a, Value b) {
  return a < b;
}

template <typename Value>
bool IsNotMore(Value a, Value b) {
  return a <= b;
}

int32_t Rescaled(uint8_t value, int32_t zero_point, const FixedPoint& multiplier) {
  const int32_t x = static_cast<int8_t>(value) - zero_point;
  return Multiply(WrappingShiftLeft(x, kLeftShift), multiplier);
}

template <bool (*kRelation)(int32_t, int32_t)>
void Scaled(const ScaledComparisonParams& params, const uint8_t* input0, const uint8_t* input1,
            uint8_t* output) {
  OfPairs(params, input0, input1, output, [&](uint8_t a, uint8_t b) {
    return kRelation(Rescaled(a, params.input0_zero_point, params.input0_multiplier),
                     Rescaled(b, params.input1_zero_point, params.input1_multiplier));
  });
}

template <typename Value, bool (*kRelation)(Value, Value)>
void OfValues(const ComparisonParams& params, const void* input0, const void* input1,
              uint8_t* output) {
  OfPairs(params, static_cast<const Value*>(input0), static_cast<const Value*>(input1), output,
          kRelation);
}

}  // namespace

void ScaledEqual(const ScaledComparisonParams& params, const uint8_t* input0, const uint8_t* input1,
                 uint8_t* output) {
  Scaled<IsEqual>(params, input0, input1, output);
}

void ScaledNotEqual(const ScaledComparisonParams& params, const uint8_t* input0,
                    const uint8_t* input1, uint8_t* output) {
  Scaled<IsOther>(params, input0, input1, output);
}

void ScaledLess(const ScaledComparisonParams& params, const uint8_t* input0, const uint8_t* input1,
                uint8_t* output) {
  Scaled<IsLess>(params, input0, input1, output);
}

void ScaledLessEqual(const ScaledComparisonParams& params, const uint8_t* input0,
                     const uint8_t* input1, uint8_t* output) {
  Scaled<IsNotMore>(params, input0, input1, output);
}

void ByteEqual(const ComparisonParams& params, const uint8_t* input0, const uint8_t* input1,
               uint8_t* output) {
  OfValues<uint8_t, IsEqual>(params, input0, input1, output);
}

void ByteNotEqual(const ComparisonParams& params, const uint8_t* input0, const uint8_t* input1,
                  uint8_t* output) {
  OfValues<uint8_t, IsOther>(params, input0, input1, output);
}

void Int32Equal(const ComparisonParams& params, const uint8_t* input0, const uint8_t* input1,
                uint8_t* output) {
  OfValues<int32_t, IsEqual>(params, input0, input1, output);
}

void Int32NotEqual(const ComparisonParams& params, const uint8_t* input0, const uint8_t* input1,
                   uint8_t* output) {
  OfValues<int32_t, IsOther>(params, input0, input1, output);
}

void Int32Less(const ComparisonParams& params, const uint8_t* input0, const uint8_t* input1,
               uint8_t* output) {
  OfValues<int32_t, IsLess>(params, input0, input1, output);
}

void Int32LessEqual(const ComparisonParams& params, const uint8_t* input0, const uint8_t* input1,
                    uint8_t* output) {
  OfValues<int32_t, IsNotMore>(params, input0, input1, output);
}

void FloatEqual(const ComparisonParams& params, const float* input0, const float* input1,
                uint8_t* output) {
  OfValues<float, IsEqual>(params, input0, input1, output);
}

void FloatNotEqual(const ComparisonParams& params, const float* input0, const float* input1,
                   uint8_t* output) {
  OfValues<float, IsOther>(params, input0, input1, output);
}

void FloatLess(const ComparisonParams& params, const float* input0, const float* input1,
               uint8_t* output) {
  OfValues<float, IsLess>(params, input0, input1, output);
}

void FloatLessEqual(const ComparisonParams& params, const float* input0, const float* input1,
                    uint8_t* output) {
  OfValues<float, IsNotMore>(params, input0, input1, output);
}

void Select(const SelectParams& params, const uint8_t* condition, const uint8_t* input,
            uint8_t* output) {
  const auto size = static_cast<size_t>(params.value_bytes);
  ForEachOffset(params.extents, params.condition_steps, params.input_steps,
                [&](int32_t at, int32_t from) {
                  if (condition[at] == params.wanted) memcpy(output, input + from, size);
                  output += size;
                });
}

void Cast(const CastParams& params, const uint8_t* input, uint8_t* output) {
  const auto input_bytes = static_cast<size_t>(params.input_bytes);
  const auto output_bytes = static_cast<size_t>(params.output_bytes);
  for (int32_t i = 0; i < params.count; ++i) {
    int32_t value = static_cast<int8_t>(*input);
    if (input_bytes == sizeof(value)) memcpy(&value, input, sizeof(value));
    if (params.is_output_float != 0) {
      const auto real = static_cast<float>(value);
      memcpy(output, &real, sizeof(real));
    } else if (output_bytes == sizeof(value)) {
      memcpy(output, &value, sizeof(value));
    } else {
      *output = static_cast<uint8_t>(value);
    }
    input += input_bytes;
    output += output_bytes;
  }
}

}  // namespace reference
}  // namespace quantmcu
