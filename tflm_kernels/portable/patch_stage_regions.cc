#include "tflm_kernels/portable/patch_stage_regions.h"

namespace quantmcu {
namespace {

int32_t CeilDivide(int32_t a, int32_t b) { return (a + b - 1) / b; }

struct Interval {
  int32_t begin;
  int32_t end;
};

// The rows or columns of an input of `extent` that the outputs [output.begin, output.end) read; may
// be empty.
Interval InputInterval(const Interval& output, int32_t extent, int32_t kernel, int32_t stride,
                       int32_t dilation, int32_t pad) {
  const int32_t begin = output.begin * stride - pad;
  const int32_t end = (output.end - 1) * stride - pad + (kernel - 1) * dilation + 1;
  return {Max(begin, 0), Min(end, extent)};
}

Region RegionOf(const Interval& rows, const Interval& columns) {
  if (rows.end <= rows.begin || columns.end <= columns.begin) return {0, 0, 0, 0};
  return {static_cast<int16_t>(rows.begin), static_cast<int16_t>(columns.begin),
          static_cast<int16_t>(rows.end), static_cast<int16_t>(columns.end)};
}

Region InputRegion(const StageOp& op, const StageMap& input, const Region& output) {
  if (op.kind == kStageAdd) return output;
  const Window& window = op.window;
  const Interval rows = InputInterval({output.y0, output.y1}, input.height, window.kernel_height,
                                      window.stride_height, window.dilation_height, window.pad_top);
  const Interval columns =
      InputInterval({output.x0, output.x1}, input.width, window.kernel_width, window.stride_width,
                    window.dilation_width, window.pad_left);
  return RegionOf(rows, columns);
}

Region Union(const Region& a, const Region& b) {
  if (IsEmpty(a)) return b;
  if (IsEmpty(b)) return a;
  return RegionOf({Min(a.y0, b.y0), Max(a.y1, b.y1)}, {Min(a.x0, b.x0), Max(a.x1, b.x1)});
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
  return RegionOf({y0, Min(y0 + height, y.height)}, {x0, Min(x0 + width, y.width)});
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
  for (int32_t m = 0; m < last_map; ++m) regions[m] = {0, 0, 0, 0};
  regions[last_map] = TileRegion(params, tile);
  for (int32_t i = params.header.num_ops - 1; i >= 0; --i) {
    const StageOp& op = params.ops[i];
    const Region output = regions[op.output];
    if (IsEmpty(output)) continue;
    const Region input = InputRegion(op, params.maps[op.input0], output);
    regions[op.input0] = Union(regions[op.input0], input);
    if (op.kind == kStageAdd) regions[op.input1] = Union(regions[op.input1], input);
  }
}

}  // namespace quantmcu
