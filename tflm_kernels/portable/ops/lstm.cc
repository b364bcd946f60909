#include "tflm_kernels/portable/ops/lstm.h"

#include <string.h>

#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace reference {
namespace {

constexpr Clamp kInt16 = {INT16_MIN, INT16_MAX};
constexpr int32_t kNumGates = 4;
constexpr uint32_t kLastPart = 255;  // of the table

int32_t Within(int32_t x, const Clamp& clamp) {
  return x < clamp.min ? clamp.min : x > clamp.max ? clamp.max : x;
}

// |scaled| / 2^bits in the table, between whose values it is interpolated; in Q(16 + bits).
uint32_t FromTable(const uint16_t* sigmoid, int32_t scaled, int32_t bits, uint32_t largest) {
  const uint32_t magnitude = static_cast<uint32_t>(scaled < 0 ? -scaled : scaled);
  const uint32_t part = magnitude >> bits;
  if (part >= kLastPart) return largest << bits;
  const uint32_t rest = magnitude & ((uint32_t{1} << bits) - 1);
  const uint32_t low = sigmoid[part];
  return (low << bits) + rest * (sigmoid[part + 1] - low);
}

// Of x in Q12, in Q15.
int32_t Sigmoid(const uint16_t* table, int32_t x) {
  constexpr int32_t kBits = 9;
  const int32_t scaled = 3 * x;
  const auto found = static_cast<int32_t>(FromTable(table, scaled, kBits, 0xFFFE));
  const int32_t half = 1 << kBits;
  return (scaled >= 0 ? found + half : (1 << (16 + kBits)) - found + half - 1) >> (kBits + 1);
}

// Of x that is shifted to Q12, in Q15: 2 * sigmoid(2 * x) - 1.
int32_t Tanh(const uint16_t* table, int32_t x, int32_t shift) {
  constexpr int32_t kBits = 8;
  const int32_t rounding = shift < 0 ? 1 << (-shift - 1) : 0;
  const int32_t scaled = shift < 0 ? (3 * x + rounding) >> -shift : WrappingShiftLeft(3 * x, shift);
  const auto found = static_cast<int32_t>(FromTable(table, scaled, kBits, 0xFFFF));
  const int32_t one = 1 << (15 + kBits), half = 1 << (kBits - 1);
  return (scaled >= 0 ? found - one + half : one - found + half - 1) >> kBits;
}

int32_t Dot(const int8_t* weights, const int8_t* values, int32_t zero_point, int32_t count) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; ++i) {
    sum = WrappingAdd(sum, weights[i] * (values[i] - zero_point));
  }
  return sum;
}

// What a unit's four gates see, before their functions.
struct Sequence {
  const int8_t* input;
  const int8_t* hidden;
};

int32_t GateSum(const LstmParams& params, int32_t gate, const Sequence& now, const int8_t* weights,
                int32_t bias) {
  const LstmGate& factors = params.gates[gate];
  const int32_t of_input =
      WrappingAdd(bias, Dot(weights, now.input, params.input_zero_point, params.depth));
  const int32_t of_hidden =
      Dot(weights + params.depth, now.hidden, params.hidden_zero_point, params.units);
  return Within(Requantized(of_input, factors.input, 0, kInt16) +
                    Requantized(of_hidden, factors.hidden, 0, kInt16),
                kInt16);
}

int8_t UnitStep(const LstmParams& params, const Sequence& now, const int8_t* weights,
                const int32_t* biases, const uint16_t* sigmoid, int16_t* cell) {
  int32_t sums[kNumGates];
  for (int32_t gate = 0; gate < kNumGates; ++gate) {
    sums[gate] =
        GateSum(params, gate, now, weights + gate * (params.depth + params.units), biases[gate]);
  }
  const int32_t kept =
      Requantized(Sigmoid(sigmoid, sums[0]) * *cell, params.forget_multiplier, 0, kInt16);
  const int32_t update = Requantized(Sigmoid(sigmoid, sums[1]) * Tanh(sigmoid, sums[2], 0),
                                     params.update_multiplier, 0, kInt16);
  int32_t state = Within(kept + update, kInt16);
  if (params.clip > 0) state = Within(state, {-params.clip, params.clip});
  *cell = static_cast<int16_t>(state);
  const int32_t product = Tanh(sigmoid, state, params.tanh_shift) * Sigmoid(sigmoid, sums[3]);
  return static_cast<int8_t>(
      Requantized(product, params.hidden_multiplier, params.hidden_zero_point, {QMin(8), QMax(8)}));
}

}  // namespace

void Lstm(const LstmParams& params, const uint8_t* input, uint8_t* hidden, uint8_t* cell,
          const uint8_t* weights, const int32_t* biases, const uint16_t* sigmoid, uint8_t* output) {
  const int32_t unit_weights = kNumGates * (params.depth + params.units);
  for (int32_t b = 0; b < params.batches; ++b) {
    uint8_t* own_hidden = hidden + b * params.units;
    int16_t* own_cell = reinterpret_cast<int16_t*>(cell) + b * params.units;
    for (int32_t t = 0; t < params.steps; ++t) {
      const uint8_t* x = input + b * params.input_batch_step + t * params.input_time_step;
      uint8_t* y = output + b * params.output_batch_step + t * params.output_time_step;
      const Sequence now = {reinterpret_cast<const int8_t*>(x),
                            reinterpret_cast<const int8_t*>(own_hidden)};
      const auto* unit_begin = reinterpret_cast<const int8_t*>(weights);
      for (int32_t unit = 0; unit < params.units; ++unit, unit_begin += unit_weights) {
        y[unit] = static_cast<uint8_t>(
            UnitStep(params, now, unit_begin, biases + kNumGates * unit, sigmoid, own_cell + unit));
      }
      memcpy(own_hidden, y, static_cast<size_t>(params.units));
    }
  }
}

}  // namespace reference
}  // namespace quantmcu
