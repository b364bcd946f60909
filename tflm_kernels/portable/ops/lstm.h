// portable/ops/lstm.h - a long short-term memory over the steps of a sequence: int8 maps, an int16 cell state.
//
// Of each step and unit, with x the step's input and h what the units gave before:
//   g[k] = saturate(multiply(bias[k] + w[k] . (x - in_zero), input[k]) + multiply(r[k] . (h - hidden_zero), hidden[k]))
//   cell = saturate(cell * sigmoid(g[0]) + sigmoid(g[1]) * tanh(g[2])), within [-clip, clip] if there is a clip
//   h    = clamp(tanh(cell) * sigmoid(g[3]) + hidden_zero), the step's output           docs/arithmetic.md A38
// Layout   input and output [batches, steps, values] as the step widths say; hidden [batches, units] int8, cell
//          [batches, units] int16; weights [units, 4, depth + units] int8, those of the input in front; biases [units,
//          4]; gates are forget, input, cell, output. `sigmoid` has 256 values of sigmoid(i / 24) in Q16.
// State    hidden and cell are read and written: what one inference leaves for the next.
// Range    tanh_shift in [-15, 14].
// Memory   no allocation, no scratch; the output overlaps nothing else.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_LSTM_H_
#define TFLM_KERNELS_PORTABLE_OPS_LSTM_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

struct LstmGate {
  FixedPoint input;
  FixedPoint hidden;
};

struct LstmParams {
  int32_t batches;
  int32_t steps;
  int32_t depth;
  int32_t units;
  int32_t input_batch_step;  // from one batch to the next, in values
  int32_t input_time_step;
  int32_t output_batch_step;
  int32_t output_time_step;
  int32_t input_zero_point;
  int32_t hidden_zero_point;
  LstmGate gates[4];
  FixedPoint forget_multiplier;  // of the cell
  FixedPoint update_multiplier;
  FixedPoint hidden_multiplier;
  int32_t tanh_shift;  // from the cell to Q12
  int32_t clip;        // 0: none
};

using LstmFn = void(const LstmParams& params, const uint8_t* input, uint8_t* hidden, uint8_t* cell,
                    const uint8_t* weights, const int32_t* biases, const uint16_t* sigmoid,
                    uint8_t* output);

namespace reference {
LstmFn Lstm;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_LSTM_H_
