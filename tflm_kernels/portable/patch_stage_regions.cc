#include "tflm_kernels/portable/patch_stage_regions.h"

namespace quantmcu {
namespace {

int32_t CeilDivide(int32_t a, int32_t b) { return (a + b - 1) / b; }

Interval IntervalOf(int32_t begin, int32_t end) {
  if (end <= begin) return {0, 0};
  return {static_cast<int16_t>(begin), static_cast<int16_t>(end)};
}

// The rows or columns, of an input of `extent`, that those of the output read.
Interval InputInterval(const Interval& output, int32_t extent, int32_t kernel, int32_t stride,
                       int32_t dilation, int32_t pad) {
  if (Length(output) == 0) return {0, 0};
  const int32_t begin = output.begin * stride - pad;
  const int32_t end = (output.end - 1) * stride - pad + (kernel - 1) * dilation + 1;
  return IntervalOf(Max(begin, 0), Min(end, extent));
}

Region InputRegion(const StageOp& op, const StageMap& input, const Region& output) {
  if (op.kind == kStageAdd) return output;
  const Window& window = op.window;
  return {InputInterval(output.rows, input.height, window.kernel_height, window.stride_height,
                        window.dilation_height, window.pad_top),
          InputInterval(output.columns, input.width, window.kernel_width, window.stride_width,
                        window.dilation_width, window.pad_left)};
}

// Widens `interval` to hold `part` too.
void Join(const Interval& part, Interval* interval) {
  if (Length(part) == 0) return;
  if (Length(*interval) == 0) {
    *interval = part;
    return;
  }
  *interval = IntervalOf(Min(interval->begin, part.begin), Max(interval->end, part.end));
}

void Join(const Region& part, Region* region) {
  Join(part.rows, &region->rows);
  Join(part.columns, &region->columns);
}

const StageMap& OutputMap(const PatchStageParams& params) {
  return params.maps[params.header.num_maps - 1];
}

Region TileRegion(const PatchStageParams& params, int32_t tile) {
  const StageMap& y = OutputMap(params);
  const int32_t height = params.header.tile_height;
  const int32_t width = params.header.tile_width;
  const int32_t y0 = tile / NumTileColumns(params) * height;
  const int32_t x0 = tile % NumTileColumns(params) * width;
  return {IntervalOf(y0, Min(y0 + height, y.height)), IntervalOf(x0, Min(x0 + width, y.width))};
}

}  // namespace

int32_t NumTileRows(const PatchStageParams& params) {
  return CeilDivide(OutputMap(params).height, params.header.tile_height);
}

int32_t NumTileColumns(const PatchStageParams& params) {
  return CeilDivide(OutputMap(params).width, params.header.tile_width);
}

void ComputeRegions(const PatchStageParams& params, int32_t tile, Region* regions) {
  const int32_t last_map = params.header.num_maps - 1;
  for (int32_t m = 0; m < last_map; ++m) regions[m] = {};
  regions[last_map] = TileRegion(params, tile);
  for (int32_t i = params.header.num_ops - 1; i >= 0; --i) {
    const StageOp& op = params.ops[i];
    const Region input = InputRegion(op, params.maps[op.input0], regions[op.output]);
    Join(input, &regions[op.input0]);
    if (op.kind == kStageAdd) Join(input, &regions[op.input1]);
  }
}

}  // namespace quantmcu
