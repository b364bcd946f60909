// Small, not fast: what it calls takes the time.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/portable/stage/run_op.h"

#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace {

// The window as it slides from what is computed of the output to the input's region.
Window LocalWindow(const Tile& tile, const StageOp& op) {
  const Region& input = tile.regions[op.input0];
  const Region& output = tile.regions[op.output];
  Window window = op.window;
  window.pad_top += input.rows.begin - output.rows.fresh * window.stride_height;
  window.pad_left += input.columns.begin - output.columns.fresh * window.stride_width;
  return window;
}

Conv2DParams ParamsOfConv2D(const Tile& tile, const StageOp& op) {
  return {InputView(tile, op.input0), OutputView(tile, op.output), LocalWindow(tile, op),
          FormatOf(tile, op.output).clamp, op.weight_bits};
}

DepthwiseConv2DParams ParamsOfDepthwiseConv2D(const Tile& tile, const StageOp& op) {
  return {InputView(tile, op.input0),
          OutputView(tile, op.output),
          LocalWindow(tile, op),
          FormatOf(tile, op.output).clamp,
          op.weight_bits,
          op.depth_multiplier};
}

template <typename Kernel, typename Params>
void RunConvolution(const Tile& tile, const StageOp& op, const int32_t* table, Kernel* kernel,
                    const Params& params) {
  kernel(params, InputData(tile, op.input0, params.input), tile.params.filters + op.filter_offset,
         ChannelTableOf(table, params.output.channels), OutputData(tile, op.output, params.output),
         tile.kernel_scratch);
}

// An input's region may be larger than the output's, when another op needs more of it.
const uint8_t* SamePlace(const Tile& tile, const StageOp& op, int32_t map, const FeatureMap& view) {
  const Region& input = tile.regions[map];
  const Region& output = tile.regions[op.output];
  return InputData(tile, map, view) + PixelOffset(view, output.rows.fresh - input.rows.begin,
                                                  output.columns.fresh - input.columns.begin);
}

void RunAdd(const Tile& tile, const StageOp& op, const int32_t* table, AddFn* kernel) {
  const AddParams params = {InputView(tile, op.input0),
                            InputView(tile, op.input1),
                            OutputView(tile, op.output),
                            FormatOf(tile, op.output).clamp,
                            {{table[0], table[1]}, {table[2], table[3]}, {table[4], table[5]}}};
  kernel(params, SamePlace(tile, op, op.input0, params.input0),
         SamePlace(tile, op, op.input1, params.input1), OutputData(tile, op.output, params.output));
}

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

void RunPool2D(const Tile& tile, const StageOp& op, const int32_t* table) {
  const Pool2DParams params = {InputView(tile, op.input0),
                               OutputView(tile, op.output),
                               LocalWindow(tile, op),
                               FormatOf(tile, op.output).clamp,
                               {table[0], table[1]}};
  Pool2DFn* pool =
      op.kind == kStageMaxPool2D ? tile.kernels.max_pool2d : tile.kernels.average_pool2d;
  pool(params, InputData(tile, op.input0, params.input),
       OutputData(tile, op.output, params.output));
}

void RunRequantize(const Tile& tile, const StageOp& op, const int32_t* table) {
  const Window window = LocalWindow(tile, op);
  const RequantizeParams params = {
      InputView(tile, op.input0),      OutputView(tile, op.output), window.pad_top, window.pad_left,
      FormatOf(tile, op.output).clamp, {table[0], table[1]}};
  tile.kernels.requantize(params, InputData(tile, op.input0, params.input),
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

void RunLut(const Tile& tile, const StageOp& op, const int32_t* table) {
  const Window window = LocalWindow(tile, op);
  const FeatureMap input = InputView(tile, op.input0);
  const LutParams params = {input, OutputView(tile, op.output), window.pad_top, window.pad_left,
                            op.kind == kStageChannelLut ? NumLutEntries(input.bits) : 0};
  tile.kernels.lut(params, InputData(tile, op.input0, params.input), EntriesOf(table),
                   OutputData(tile, op.output, params.output));
}

}  // namespace

void RunOp(const Tile& tile, int32_t index) {
  const StageOp& op = tile.params.ops[index];
  const int32_t* table = TableOf(tile.params, tile.patch_class, index);
  switch (op.kind) {
    case kStageConv2D:
      return RunConvolution(tile, op, table, tile.kernels.conv2d, ParamsOfConv2D(tile, op));
    case kStageDepthwiseConv2D:
      return RunConvolution(tile, op, table, tile.kernels.depthwise_conv2d,
                            ParamsOfDepthwiseConv2D(tile, op));
    case kStageAdd:
      return RunAdd(tile, op, table, tile.kernels.add);
    case kStageMul:
      return RunMul(tile, op, table);
    case kStageSub:
      return RunAdd(tile, op, table, tile.kernels.difference);
    case kStageAveragePool2D:
    case kStageMaxPool2D:
      return RunPool2D(tile, op, table);
    case kStageRequantize:
      return RunRequantize(tile, op, table);
    case kStageLut:
    case kStageChannelLut:
      return RunLut(tile, op, table);
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

size_t OpScratchBytes(const Tile& tile, const StageOp& op) {
  switch (op.kind) {
    case kStageConv2D:
      return tile.kernels.conv2d_scratch_bytes(ParamsOfConv2D(tile, op));
    case kStageDepthwiseConv2D:
      return tile.kernels.depthwise_conv2d_scratch_bytes(ParamsOfDepthwiseConv2D(tile, op));
    default:
      return 0;
  }
}

}  // namespace quantmcu
