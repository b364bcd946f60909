#include "tflm_kernels/portable/patch_stage.h"

#include "tflm_kernels/portable/patch_stage_regions.h"

namespace quantmcu {
namespace {

struct Tile {
  const PatchStageParams& params;
  const Kernels& kernels;
  const uint8_t* x;
  uint8_t* scratch;
  uint8_t* kernel_scratch;
  uint8_t* y;
  int32_t patch_class;
  Region regions[kMaxStageMaps];
};

const StageFormat& FormatOf(const Tile& tile, int32_t map) {
  return FormatOf(tile.params, tile.patch_class, map);
}

bool IsInScratch(const Tile& tile, int32_t map) { return FormatOf(tile, map).scratch_offset >= 0; }

// The tile's region of a map, as a kernel sees it.
FeatureMap View(const Tile& tile, int32_t map) {
  const StageMap& shape = tile.params.maps[map];
  const StageFormat& format = FormatOf(tile, map);
  const Region& region = tile.regions[map];
  const int32_t row_pixels = IsInScratch(tile, map) ? Length(region.columns) : shape.width;
  return {Length(region.rows), Length(region.columns),
          shape.channels,      row_pixels * RunBytes(shape.channels, format.bits),
          format.bits,         format.zero_point};
}

// Where the region's first pixel stands, counted from X or Y for these two, else from scratch.
int32_t ViewOffset(const Tile& tile, int32_t map) {
  if (IsInScratch(tile, map)) return FormatOf(tile, map).scratch_offset;
  return PixelOffset(View(tile, map), tile.regions[map].rows.begin,
                     tile.regions[map].columns.begin);
}

const uint8_t* InputData(const Tile& tile, int32_t map) {
  return (map == 0 ? tile.x : tile.scratch) + ViewOffset(tile, map);
}

uint8_t* OutputData(const Tile& tile, int32_t map) {
  return (IsInScratch(tile, map) ? tile.scratch : tile.y) + ViewOffset(tile, map);
}

// The window as it slides from the output's region to the input's.
Window LocalWindow(const Tile& tile, const StageOp& op) {
  const Region& input = tile.regions[op.input0];
  const Region& output = tile.regions[op.output];
  Window window = op.window;
  window.pad_top += input.rows.begin - output.rows.begin * window.stride_height;
  window.pad_left += input.columns.begin - output.columns.begin * window.stride_width;
  return window;
}

Conv2DParams ParamsOfConv2D(const Tile& tile, const StageOp& op) {
  return {View(tile, op.input0), View(tile, op.output), LocalWindow(tile, op),
          FormatOf(tile, op.output).clamp, op.weight_bits};
}

DepthwiseConv2DParams ParamsOfDepthwiseConv2D(const Tile& tile, const StageOp& op) {
  return {View(tile, op.input0),           View(tile, op.output), LocalWindow(tile, op),
          FormatOf(tile, op.output).clamp, op.weight_bits,        op.depth_multiplier};
}

template <typename Kernel, typename Params>
void RunConvolution(const Tile& tile, const StageOp& op, const int32_t* table, Kernel* kernel,
                    const Params& params) {
  const int32_t channels = params.output.channels;
  kernel(params, InputData(tile, op.input0), tile.params.filters + op.filter_offset, table,
         table + channels, table + 2 * channels, OutputData(tile, op.output), tile.kernel_scratch);
}

// An input's region may be larger than the sum's, when another op needs more of it.
const uint8_t* AddInputData(const Tile& tile, const StageOp& op, int32_t map) {
  const Region& input = tile.regions[map];
  const Region& output = tile.regions[op.output];
  return InputData(tile, map) + PixelOffset(View(tile, map), output.rows.begin - input.rows.begin,
                                            output.columns.begin - input.columns.begin);
}

void RunAdd(const Tile& tile, const StageOp& op, const int32_t* table) {
  const AddParams params = {View(tile, op.input0),
                            View(tile, op.input1),
                            View(tile, op.output),
                            FormatOf(tile, op.output).clamp,
                            {{table[0], table[1]}, {table[2], table[3]}, {table[4], table[5]}}};
  tile.kernels.add(params, AddInputData(tile, op, op.input0), AddInputData(tile, op, op.input1),
                   OutputData(tile, op.output));
}

void RunPool2D(const Tile& tile, const StageOp& op, const int32_t* table) {
  const Pool2DParams params = {View(tile, op.input0),
                               View(tile, op.output),
                               LocalWindow(tile, op),
                               FormatOf(tile, op.output).clamp,
                               {table[0], table[1]}};
  Pool2DFn* pool =
      op.kind == kStageMaxPool2D ? tile.kernels.max_pool2d : tile.kernels.average_pool2d;
  pool(params, InputData(tile, op.input0), OutputData(tile, op.output));
}

void RunRequantize(const Tile& tile, const StageOp& op, const int32_t* table) {
  const Window window = LocalWindow(tile, op);
  const RequantizeParams params = {
      View(tile, op.input0), View(tile, op.output),           window.pad_top,
      window.pad_left,       FormatOf(tile, op.output).clamp, {table[0], table[1]}};
  tile.kernels.requantize(params, InputData(tile, op.input0), OutputData(tile, op.output));
}

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
      return RunAdd(tile, op, table);
    case kStageAveragePool2D:
    case kStageMaxPool2D:
      return RunPool2D(tile, op, table);
    case kStageRequantize:
      return RunRequantize(tile, op, table);
  }
}

size_t KernelScratchBytes(const Tile& tile, const StageOp& op) {
  switch (op.kind) {
    case kStageConv2D:
      return tile.kernels.conv2d_scratch_bytes(ParamsOfConv2D(tile, op));
    case kStageDepthwiseConv2D:
      return tile.kernels.depthwise_conv2d_scratch_bytes(ParamsOfDepthwiseConv2D(tile, op));
    default:
      return 0;
  }
}

// Calls visit(tile, op index) for all that runs, in order.
template <typename Visit>
void ForEachOpOfTiles(Tile* tile, Visit visit) {
  const PatchStageParams& params = tile->params;
  const int32_t num_tiles = NumTileRows(params) * NumTileColumns(params);
  for (int32_t t = 0; t < num_tiles; ++t) {
    tile->patch_class = params.patch_classes[t];
    ComputeRegions(params, t, tile->regions);
    for (int32_t i = 0; i < params.header.num_ops; ++i) {
      if (!IsEmpty(tile->regions[params.ops[i].output])) visit(*tile, i);
    }
  }
}

size_t MapScratchBytes(const PatchStageParams& params) {
  int32_t bytes = 0;
  const int32_t num_formats = params.header.num_classes * params.header.num_maps;
  for (int32_t i = 0; i < num_formats; ++i) {
    bytes = Max(bytes, params.formats[i].scratch_offset + params.formats[i].scratch_bytes);
  }
  return static_cast<size_t>(bytes);
}

size_t KernelScratchOffset(const PatchStageParams& params) {
  return (MapScratchBytes(params) + 3) / 4 * 4;
}

}  // namespace

size_t PatchStageScratchBytes(const PatchStageParams& params, const Kernels& kernels) {
  Tile tile = {params, kernels, nullptr, nullptr, nullptr, nullptr, 0, {}};
  size_t kernel_bytes = 0;
  ForEachOpOfTiles(&tile, [&](const Tile& at, int32_t i) {
    const size_t bytes = KernelScratchBytes(at, params.ops[i]);
    if (bytes > kernel_bytes) kernel_bytes = bytes;
  });
  return kernel_bytes == 0 ? MapScratchBytes(params) : KernelScratchOffset(params) + kernel_bytes;
}

void PatchStage(const PatchStageParams& params, const Kernels& kernels, const uint8_t* x,
                uint8_t* scratch, uint8_t* y) {
  Tile tile = {params, kernels, x, scratch, scratch + KernelScratchOffset(params), y, 0, {}};
  ForEachOpOfTiles(&tile, [](const Tile& at, int32_t i) { RunOp(at, i); });
}

}  // namespace quantmcu
