// The ops of stages that few networks have: a table of kernels that names none of theirs does not link them.

// Small, not fast: what it calls takes the time.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/portable/law/limits.h"
#include "tflm_kernels/portable/stage/tile.h"

namespace quantmcu {
namespace {

void RunMul(const Tile& tile, const StageOp& op, const int32_t* table) {
  const bool is_gated = IsGated(tile.params, op);
  const ProductParams params = {InputView(tile, op.input0),
                                is_gated ? View(tile, op.input1, 1, 1) : InputView(tile, op.input1),
                                OutputView(tile, op.output),
                                FormatOf(tile, op.output).clamp,
                                {table[0], table[1]}};
  tile.kernels.product(
      params, SamePlace(tile, op, op.input0, params.input0),
      is_gated ? InMemory(tile, op.input1) : SamePlace(tile, op, op.input1, params.input1),
      OutputData(tile, op.output, params.output));
}

// Not inlined: what it holds on the stack would lie under the kernels of all other ops.
[[gnu::noinline]] void RunGatherChannels(const Tile& tile, const StageOp& op,
                                         const int32_t* table) {
  GatherChannelsParams params = {OutputView(tile, op.output),
                                 FormatOf(tile, op.output).clamp,
                                 NumInputs(op),
                                 op.depth_multiplier,
                                 {}};
  const uint8_t* inputs[kMaxGatherInputs];
  for (int32_t j = 0; j < params.num_inputs; ++j) {
    const int32_t map = InputOf(op, j);
    params.inputs[j] = {InputView(tile, map), {table[2 * j], table[2 * j + 1]}};
    inputs[j] = SamePlace(tile, op, map, params.inputs[j].map);
  }
  tile.kernels.gather_channels(params, inputs, RunsOf(op, table),
                               OutputData(tile, op.output, params.output));
}

void RunResizeNearest(const Tile& tile, const StageOp& op, const int32_t* table) {
  const Region& input = tile.regions[op.input0];
  const Region& output = tile.regions[op.output];
  const Window& w = op.window;
  const ResizeNearestParams params = {InputView(tile, op.input0),
                                      OutputView(tile, op.output),
                                      w.stride_height,
                                      w.stride_width,
                                      output.rows.fresh - input.rows.begin * w.stride_height,
                                      output.columns.fresh - input.columns.begin * w.stride_width,
                                      FormatOf(tile, op.output).clamp,
                                      {table[0], table[1]}};
  tile.kernels.resize_nearest(params, InputData(tile, op.input0, params.input),
                              OutputData(tile, op.output, params.output));
}

void RunDepthToSpace(const Tile& tile, const StageOp& op, const int32_t* table) {
  const Region& input = tile.regions[op.input0];
  const Region& output = tile.regions[op.output];
  const Window& w = op.window;
  const DepthToSpaceParams params = {InputView(tile, op.input0),
                                     OutputView(tile, op.output),
                                     w.stride_height,
                                     w.stride_width,
                                     output.rows.fresh - input.rows.begin * w.stride_height,
                                     output.columns.fresh - input.columns.begin * w.stride_width,
                                     FormatOf(tile, op.output).clamp,
                                     {table[0], table[1]}};
  tile.kernels.depth_to_space(params, InputData(tile, op.input0, params.input),
                              OutputData(tile, op.output, params.output));
}

// Along one axis of `size` pixels that become `wanted`, for a region from `begin` on and output pixels from `fresh` on.
ResizeAxis AxisOf(int32_t size, int32_t wanted, int32_t mode, int32_t begin, int32_t fresh) {
  const ResizeSteps steps = ResizeStepsOf(size, wanted, mode);
  return {steps.step, steps.first + fresh * steps.step, size, begin};
}

void RunResizeBilinear(const Tile& tile, const StageOp& op, const int32_t* table) {
  const Region& input = tile.regions[op.input0];
  const Region& output = tile.regions[op.output];
  const StageMap& in = tile.params.maps[op.input0];
  const StageMap& out = tile.params.maps[op.output];
  const int32_t mode = op.depth_multiplier;
  const ResizeBilinearParams params = {
      InputView(tile, op.input0),
      OutputView(tile, op.output),
      AxisOf(in.height, out.height, mode, input.rows.begin, output.rows.fresh),
      AxisOf(in.width, out.width, mode, input.columns.begin, output.columns.fresh),
      FormatOf(tile, op.output).clamp,
      {table[0], table[1]}};
  tile.kernels.resize_bilinear(params, InputData(tile, op.input0, params.input),
                               OutputData(tile, op.output, params.output));
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
