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

void RunAdd(const Tile& tile, const StageOp& op, const int32_t* table, AddFn* kernel) {
  const AddParams params = {InputView(tile, op.input0),
                            InputView(tile, op.input1),
                            OutputView(tile, op.output),
                            FormatOf(tile, op.output).clamp,
                            {{table[0], table[1]}, {table[2], table[3]}, {table[4], table[5]}}};
  kernel(params, SamePlace(tile, op, op.input0, params.input0),
         SamePlace(tile, op, op.input1, params.input1), OutputData(tile, op.output, params.output));
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
    default:
      return tile.kernels.rare_op(tile, op, table);
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
