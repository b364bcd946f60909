// Fully connected with the DSP extension.
//
// What is gained: the input is widened once (widen.h) and meets all outputs, two at a time
// (one_pixel.h).
// Memory   scratch for the widened input: 2 bytes a value.

// Scheduling before register allocation makes GCC 12 spill what the loops of dot.h need.
#ifndef __clang__
#pragma GCC optimize("O2", "no-schedule-insns")
#endif

#include "tflm_kernels/cortex_m/dsp/kernels.h"
#include "tflm_kernels/cortex_m/dsp/one_pixel.h"
#include "tflm_kernels/cortex_m/dsp/widen.h"

namespace quantmcu {
namespace dsp {
namespace {

template <int kABits, int kWBits>
void Run(const FullyConnectedParams& params, const Operands& operands) {
  Column column = {reinterpret_cast<uint32_t*>(operands.scratch), params.input.zero_point, 0};
  Clear(column, NumGroups(RunBytes(params.input.channels, kWBits)), kWBits, 1);
  Widen<kABits, kWBits, 1>::AddSpan(operands.input, 0, params.input.channels, &column);
  OnePixel<kWBits>(params.output, params.clamp, RunBytes(params.input.channels, kWBits), operands,
                   column.sum, operands.output);
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
