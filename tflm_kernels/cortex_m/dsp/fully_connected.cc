// Fully connected with the DSP extension.
//
// What is gained: the input is widened once (widen.h) and meets all outputs, two at a time
// (dot.h).
// Memory   scratch for the widened input: 2 bytes a value.

// Scheduling before register allocation makes GCC 12 spill what the loops of dot.h need.
#ifndef __clang__
#pragma GCC optimize("O2", "no-schedule-insns")
#endif

#include "tflm_kernels/cortex_m/dsp/dot.h"
#include "tflm_kernels/cortex_m/dsp/fixed_point.h"
#include "tflm_kernels/cortex_m/dsp/kernels.h"
#include "tflm_kernels/cortex_m/dsp/operands.h"
#include "tflm_kernels/cortex_m/dsp/widen.h"

namespace quantmcu {
namespace dsp {
namespace {

// Stores output o; `sum` lacks the bias.
[[gnu::noinline]] void StoreSum(const FullyConnectedParams& params, const Operands& operands,
                                int32_t o, int32_t sum) {
  const AnyFactor factor = MakeAnyFactor(FactorOf(operands.table, o));
  const int32_t y =
      MultiplyAdd(WrappingAdd(operands.table.bias[o], sum), factor, params.output.zero_point);
  const int32_t not_below = y < params.clamp.min ? params.clamp.min : y;
  StoreValue(operands.output, o, params.output.bits,
             not_below > params.clamp.max ? params.clamp.max : not_below);
}

template <int kWBits>
[[gnu::noinline]] void AllOutputs(const FullyConnectedParams& params, const Operands& operands,
                                  int32_t correction) {
  const int32_t run_bytes = RunBytes(params.input.channels, kWBits);
  const uint32_t* const words = reinterpret_cast<const uint32_t*>(operands.scratch);
  const uint8_t* filter = operands.filter;
  int32_t o = 0;
  for (; o + 2 <= params.output.channels; o += 2) {
    int32_t sums[2][1] = {{0}, {0}};
    Dots<kWBits, 2, 1>::Add(filter, run_bytes, words, sums);
    filter += 2 * run_bytes;
    StoreSum(params, operands, o, WrappingAdd(sums[0][0], correction));
    StoreSum(params, operands, o + 1, WrappingAdd(sums[1][0], correction));
  }
  if (o < params.output.channels) {
    int32_t sums[1][1] = {{0}};
    Dots<kWBits, 1, 1>::Add(filter, run_bytes, words, sums);
    StoreSum(params, operands, o, WrappingAdd(sums[0][0], correction));
  }
}

template <int kABits, int kWBits>
void Run(const FullyConnectedParams& params, const Operands& operands) {
  Column column = {reinterpret_cast<uint32_t*>(operands.scratch), params.input.zero_point, 0};
  Clear(column, NumGroups(RunBytes(params.input.channels, kWBits)), kWBits, 1);
  Widen<kABits, kWBits, 1>::AddSpan(operands.input, 0, params.input.channels, &column);
  AllOutputs<kWBits>(params, operands, -column.sum * Widening<kWBits>::kWeightOffset);
}

template <int kABits>
void RunWith(const FullyConnectedParams& params, const Operands& operands) {
  if (params.weight_bits == 8) return Run<kABits, 8>(params, operands);
  if (params.weight_bits == 4) return Run<kABits, 4>(params, operands);
  return Run<kABits, 2>(params, operands);
}

}  // namespace

void FullyConnected(const FullyConnectedParams& params, const uint8_t* input, const uint8_t* filter,
                    const ChannelTable& table, uint8_t* output, uint8_t* scratch) {
  const Operands operands = {input, filter, table, scratch, output};
  if (params.input.bits == 8) return RunWith<8>(params, operands);
  if (params.input.bits == 4) return RunWith<4>(params, operands);
  RunWith<2>(params, operands);
}

}  // namespace dsp
}  // namespace quantmcu
