// Small, not fast: what it calls takes the time.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/portable/stage/reduction.h"

#include <string.h>

#include "tflm_kernels/portable/law/channel_table.h"

namespace quantmcu {
namespace {

const StageOp& Reduction(const PatchStageParams& params) {
  return params.ops[params.header.num_ops - 1];
}

// Tables of all classes are equal here: what they make sums of has one format.
const int32_t* Table(const PatchStageParams& params) {
  return TableOf(params, 0, params.header.num_ops - 1);
}

// The value of output channel `o` from the sum of its inputs.
int32_t Reduced(const PatchStageParams& params, int32_t sum, int32_t o) {
  const StageOp& op = Reduction(params);
  const StageMap& input = params.maps[op.input0];
  const int32_t count = input.height * input.width;
  const int32_t input_zero = FormatOf(params, 0, op.input0).zero_point;
  const StageFormat& y = FormatOf(params, 0, op.output);
  const int32_t* table = Table(params);
  switch (op.kind) {
    case kStageMean:
      return Requantized(sum - count * input_zero, {table[0], table[1]}, y.zero_point, y.clamp);
    case kStageGlobalAveragePool2D:
      return Requantized(RoundedMean(sum, count) - input_zero, {table[0], table[1]}, y.zero_point,
                         y.clamp);
    default: {
      const ChannelTable channels = ChannelTableOf(table, params.maps[op.output].channels);
      return Requantized(WrappingAdd(channels.bias[o], sum), FactorOf(channels, o), y.zero_point,
                         y.clamp);
    }
  }
}

}  // namespace

void ClearSums(const PatchStageParams& params, uint8_t* scratch) {
  const StageFormat& format = FormatOf(params, 0, params.header.num_maps - 1);
  memset(scratch + format.scratch_offset, 0, static_cast<size_t>(format.scratch_bytes));
}

void AddToSums(const PatchStageParams& params, const Kernels& kernels, const FeatureMap& input,
               int32_t row, int32_t column, const uint8_t* pixels, int32_t* sums) {
  const StageOp& op = Reduction(params);
  if (op.kind != kStageFullyConnected) return kernels.sum_pixels(input, pixels, sums);
  const StageMap& map = params.maps[op.input0];
  const DotPixelsParams dot = {
      input, row, column, map.height, map.width, params.maps[op.output].channels, op.weight_bits};
  kernels.dot_pixels(dot, pixels, params.filters + op.filter_offset, sums);
}

void FinishReduction(const PatchStageParams& params, const uint8_t* scratch, uint8_t* y) {
  const int32_t map = params.header.num_maps - 1;
  const StageFormat& format = FormatOf(params, 0, map);
  const auto* sums = reinterpret_cast<const int32_t*>(scratch + format.scratch_offset);
  for (int32_t o = 0; o < params.maps[map].channels; ++o) {
    StoreValue(y, o, format.bits, Reduced(params, sums[o], o));
  }
}

}  // namespace quantmcu
