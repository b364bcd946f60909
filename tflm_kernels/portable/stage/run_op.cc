// Small, not fast: what it calls takes the time.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/portable/stage/run_op.h"

#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace {

// The window as it slides from what is computed of the output to the input's region.
void SetWindow(const Tile& tile, const StageOp& op, Window* window) {
  const Window& w = op.window;
  const int32_t top = tile.rows[op.input0].begin - tile.rows[op.output].fresh * w.stride_height;
  const int32_t left =
      tile.columns[op.input0].begin - tile.columns[op.output].fresh * w.stride_width;
  *window = {w.kernel_height,   w.kernel_width,   w.stride_height, w.stride_width,
             w.dilation_height, w.dilation_width, w.pad_top + top, w.pad_left + left};
}

// The params but for the views.
template <typename Params>
void SetSliding(const Tile& tile, const StageOp& op, Params* params) {
  SetWindow(tile, op, &params->window);
  params->clamp = FormatOf(tile, op.output).clamp;
}

void SetParams(const Tile& tile, const StageOp& op, Conv2DParams* params) {
  SetSliding(tile, op, params);
  params->weight_bits = op.weight_bits;
}

void SetParams(const Tile& tile, const StageOp& op, DepthwiseConv2DParams* params) {
  SetSliding(tile, op, params);
  params->weight_bits = op.weight_bits;
  params->depth_multiplier = op.depth_multiplier;
}

template <typename Params, typename Kernel>
void RunConvolution(const Tile& tile, const StageOp& op, const int32_t* table, Kernel* kernel) {
  Params params;
  SetParams(tile, op, &params);
  const uint8_t* input = FindInput(tile, op.input0, &params.input);
  uint8_t* output = FindOutput(tile, op.output, &params.output);
  kernel(params, input, tile.params.filters + op.filter_offset,
         ChannelTableOf(table, params.output.channels), output, tile.kernel_scratch);
}

void RunAdd(const Tile& tile, const StageOp& op, const int32_t* table, AddFn* kernel) {
  AddParams params;
  const uint8_t* input0 = FindSamePlace(tile, op, op.input0, &params.input0);
  const uint8_t* input1 = FindSamePlace(tile, op, op.input1, &params.input1);
  uint8_t* output = FindOutput(tile, op.output, &params.output);
  params.clamp = FormatOf(tile, op.output).clamp;
  params.multipliers = {{table[0], table[1]}, {table[2], table[3]}, {table[4], table[5]}};
  kernel(params, input0, input1, output);
}

void RunPool2D(const Tile& tile, const StageOp& op, const int32_t* table, Pool2DFn* kernel) {
  Pool2DParams params;
  SetSliding(tile, op, &params);
  params.multiplier = {table[0], table[1]};
  const uint8_t* input = FindInput(tile, op.input0, &params.input);
  kernel(params, input, FindOutput(tile, op.output, &params.output));
}

void RunRequantize(const Tile& tile, const StageOp& op, const int32_t* table) {
  RequantizeParams params;
  const uint8_t* input = FindInput(tile, op.input0, &params.input);
  uint8_t* output = FindOutput(tile, op.output, &params.output);
  Window window;
  SetWindow(tile, op, &window);
  params.pad_top = window.pad_top;
  params.pad_left = window.pad_left;
  params.clamp = FormatOf(tile, op.output).clamp;
  params.multiplier = {table[0], table[1]};
  tile.kernels.requantize(params, input, output);
}

void RunLut(const Tile& tile, const StageOp& op, const int32_t* table) {
  LutParams params;
  const uint8_t* input = FindInput(tile, op.input0, &params.input);
  uint8_t* output = FindOutput(tile, op.output, &params.output);
  Window window;
  SetWindow(tile, op, &window);
  params.pad_top = window.pad_top;
  params.pad_left = window.pad_left;
  params.channel_step = op.kind == kStageChannelLut ? NumLutEntries(params.input.bits) : 0;
  tile.kernels.lut(params, input, EntriesOf(table), output);
}

template <typename Params, typename Kernel>
size_t ScratchBytesOf(const Tile& tile, const StageOp& op, Kernel* scratch_bytes) {
  Params params;
  SetParams(tile, op, &params);
  SeeInput(tile, op.input0, &params.input);
  SeeOutput(tile, op.output, &params.output);
  return scratch_bytes(params);
}

}  // namespace

void RunOp(const Tile& tile, int32_t index) {
  const StageOp& op = tile.params.ops[index];
  const int32_t* table = TableOf(tile.params, tile.patch_class, index);
  switch (op.kind) {
    case kStageConv2D:
      return RunConvolution<Conv2DParams>(tile, op, table, tile.kernels.conv2d);
    case kStageDepthwiseConv2D:
      return RunConvolution<DepthwiseConv2DParams>(tile, op, table, tile.kernels.depthwise_conv2d);
    case kStageAdd:
      return RunAdd(tile, op, table, tile.kernels.add);
    case kStageSub:
      return RunAdd(tile, op, table, tile.kernels.difference);
    case kStageAveragePool2D:
      return RunPool2D(tile, op, table, tile.kernels.average_pool2d);
    case kStageMaxPool2D:
      return RunPool2D(tile, op, table, tile.kernels.max_pool2d);
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
      return ScratchBytesOf<Conv2DParams>(tile, op, tile.kernels.conv2d_scratch_bytes);
    case kStageDepthwiseConv2D:
      return ScratchBytesOf<DepthwiseConv2DParams>(tile, op,
                                                   tile.kernels.depthwise_conv2d_scratch_bytes);
    default:
      return 0;
  }
}

}  // namespace quantmcu
