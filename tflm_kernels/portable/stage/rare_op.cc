// The ops of stages that few networks have: a table of kernels that names none of theirs does not link them.

// Small, not fast: what it calls takes the time.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/portable/law/limits.h"
#include "tflm_kernels/portable/stage/tile.h"

namespace quantmcu {
namespace {

// Where in a pixel that an op makes larger its output begins.
void SetCorner(const Tile& tile, const StageOp& op, int32_t* top, int32_t* left) {
  const Region input = RegionOf(tile, op.input0);
  const Region output = RegionOf(tile, op.output);
  *top = output.rows.fresh - input.rows.begin * op.window.stride_height;
  *left = output.columns.fresh - input.columns.begin * op.window.stride_width;
}

void RunMul(const Tile& tile, const StageOp& op, const int32_t* table) {
  ProductParams params;
  const uint8_t* input0 = FindSamePlace(tile, op, op.input0, &params.input0);
  const uint8_t* input1;
  if (IsGated(tile.params, op)) {
    const StageFormat& format = FormatOf(tile, op.input1);
    const int32_t channels = tile.params.maps[op.input1].channels;
    params.input1 = {
        1, 1, channels, RunBytes(channels, format.bits), format.bits, format.zero_point};
    input1 = InMemory(tile, op.input1);
  } else {
    input1 = FindSamePlace(tile, op, op.input1, &params.input1);
  }
  uint8_t* output = FindOutput(tile, op.output, &params.output);
  params.clamp = FormatOf(tile, op.output).clamp;
  params.multiplier = {table[0], table[1]};
  tile.kernels.product(params, input0, input1, output);
}

// Not inlined: what it holds on the stack would lie under the kernels of all other ops.
[[gnu::noinline]] void RunGatherChannels(const Tile& tile, const StageOp& op,
                                         const int32_t* table) {
  GatherChannelsParams params;
  uint8_t* output = FindOutput(tile, op.output, &params.output);
  params.clamp = FormatOf(tile, op.output).clamp;
  params.num_inputs = NumInputs(op);
  params.num_runs = op.depth_multiplier;
  const uint8_t* inputs[kMaxGatherInputs];
  for (int32_t j = 0; j < params.num_inputs; ++j) {
    inputs[j] = FindSamePlace(tile, op, InputOf(op, j), &params.inputs[j].map);
    params.inputs[j].multiplier = {table[2 * j], table[2 * j + 1]};
  }
  tile.kernels.gather_channels(params, inputs, RunsOf(op, table), output);
}

void RunResizeNearest(const Tile& tile, const StageOp& op, const int32_t* table) {
  ResizeNearestParams params;
  const uint8_t* input = FindInput(tile, op.input0, &params.input);
  uint8_t* output = FindOutput(tile, op.output, &params.output);
  params.factor_height = op.window.stride_height;
  params.factor_width = op.window.stride_width;
  SetCorner(tile, op, &params.top, &params.left);
  params.clamp = FormatOf(tile, op.output).clamp;
  params.multiplier = {table[0], table[1]};
  tile.kernels.resize_nearest(params, input, output);
}

void RunDepthToSpace(const Tile& tile, const StageOp& op, const int32_t* table) {
  DepthToSpaceParams params;
  const uint8_t* input = FindInput(tile, op.input0, &params.input);
  uint8_t* output = FindOutput(tile, op.output, &params.output);
  params.block_height = op.window.stride_height;
  params.block_width = op.window.stride_width;
  SetCorner(tile, op, &params.top, &params.left);
  params.clamp = FormatOf(tile, op.output).clamp;
  params.multiplier = {table[0], table[1]};
  tile.kernels.depth_to_space(params, input, output);
}

// Along one axis of `size` pixels that become `wanted`, for a region from `begin` on and output pixels from `fresh` on.
ResizeAxis AxisOf(int32_t size, int32_t wanted, int32_t mode, int32_t begin, int32_t fresh) {
  const ResizeSteps steps = ResizeStepsOf(size, wanted, mode);
  return {steps.step, steps.first + fresh * steps.step, size, begin};
}

void RunResizeBilinear(const Tile& tile, const StageOp& op, const int32_t* table) {
  const Region input_region = RegionOf(tile, op.input0);
  const Region output_region = RegionOf(tile, op.output);
  const StageMap& in = tile.params.maps[op.input0];
  const StageMap& out = tile.params.maps[op.output];
  const int32_t mode = op.depth_multiplier;
  ResizeBilinearParams params;
  const uint8_t* input = FindInput(tile, op.input0, &params.input);
  uint8_t* output = FindOutput(tile, op.output, &params.output);
  params.rows =
      AxisOf(in.height, out.height, mode, input_region.rows.begin, output_region.rows.fresh);
  params.columns =
      AxisOf(in.width, out.width, mode, input_region.columns.begin, output_region.columns.fresh);
  params.clamp = FormatOf(tile, op.output).clamp;
  params.multiplier = {table[0], table[1]};
  tile.kernels.resize_bilinear(params, input, output);
}

}  // namespace

namespace reference {

void RareOp(const Tile& tile, const StageOp& op, const int32_t* table) {
  switch (op.kind) {
    case kStageMul:
      return RunMul(tile, op, table);
    case kStageGatherChannels:
      return RunGatherChannels(tile, op, table);
    case kStageResizeNearest:
      return RunResizeNearest(tile, op, table);
    case kStageDepthToSpace:
      return RunDepthToSpace(tile, op, table);
    case kStageResizeBilinear:
      return RunResizeBilinear(tile, op, table);
  }
}

}  // namespace reference
}  // namespace quantmcu
