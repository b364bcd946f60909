#include "tflm_kernels/portable/ops/svdf.h"

#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace reference {
namespace {

int32_t WrappingProduct(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) * static_cast<uint32_t>(b));
}

// The newest result of a filter.
int32_t FeatureOf(const SvdfParams& params, const int8_t* input, const int8_t* feature) {
  int32_t sum = 0;
  for (int32_t i = 0; i < params.depth; ++i) {
    sum = WrappingAdd(sum, feature[i] * (input[i] - params.input_zero_point));
  }
  const int32_t bits = 8 * params.state_bytes;
  const int32_t y = Multiply(sum, params.feature_multiplier);
  const int32_t most = (1 << (bits - 1)) - 1;
  return (y > most ? most : y < -most - 1 ? -most - 1 : y) + params.state_zero_point;
}

// Forgets the oldest result of a filter, takes the newest, and weighs them all.
template <typename Value>
int32_t Remember(const SvdfParams& params, int32_t newest, const Value* time, Value* state) {
  int32_t sum = 0;
  for (int32_t m = 0; m < params.memory; ++m) {
    state[m] = m + 1 < params.memory ? state[m + 1] : static_cast<Value>(newest);
    sum = WrappingAdd(sum, WrappingProduct(time[m], state[m] - params.state_zero_point));
  }
  return sum;
}

template <typename Value>
void SvdfOf(const SvdfParams& params, const int8_t* input, Value* state, const int8_t* feature,
            const Value* time, const int32_t* bias, uint8_t* output) {
  const int32_t units = params.filters / params.rank;
  for (int32_t b = 0; b < params.batches; ++b) {
    int32_t filter = 0;
    for (int32_t unit = 0; unit < units; ++unit) {
      int32_t sum = bias[unit];
      for (int32_t r = 0; r < params.rank; ++r, ++filter) {
        const int32_t newest = FeatureOf(params, input, feature + filter * params.depth);
        sum = WrappingAdd(sum, Remember(params, newest, time + filter * params.memory, state));
        state += params.memory;
      }
      const int32_t y =
          Requantized(sum, params.multiplier, params.output_zero_point, {QMin(8), QMax(8)});
      *output++ = static_cast<uint8_t>(y);
    }
    input += params.depth;
  }
}

}  // namespace

void Svdf(const SvdfParams& params, const uint8_t* input, uint8_t* state, const uint8_t* feature,
          const uint8_t* time, const int32_t* bias, uint8_t* output) {
  const auto* values = reinterpret_cast<const int8_t*>(input);
  const auto* features = reinterpret_cast<const int8_t*>(feature);
  if (params.state_bytes == 1) {
    SvdfOf(params, values, reinterpret_cast<int8_t*>(state), features,
           reinterpret_cast<const int8_t*>(time), bias, output);
  } else {
    SvdfOf(params, values, reinterpret_cast<int16_t*>(state), features,
           reinterpret_cast<const int16_t*>(time), bias, output);
  }
}

}  // namespace reference
}  // namespace quantmcu
