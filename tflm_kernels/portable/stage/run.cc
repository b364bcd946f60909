#include "tflm_kernels/portable/stage/run.h"

#include "tflm_kernels/portable/law/limits.h"
#include "tflm_kernels/portable/stage/halo.h"
#include "tflm_kernels/portable/stage/outliers.h"
#include "tflm_kernels/portable/stage/reduction.h"
#include "tflm_kernels/portable/stage/regions.h"

namespace quantmcu {
namespace {

struct Tile {
  const PatchStageParams& params;
  const Kernels& kernels;
  const StageInput& x;
  uint8_t* scratch;
  uint8_t* kernel_scratch;
  uint8_t* y;
  int32_t patch_class;
  Region regions[kMaxStageMaps];
};

// Before a tile's class is chosen only X is asked for, which has one format in all classes.
const StageFormat& FormatOf(const Tile& tile, int32_t map) {
  return FormatOf(tile.params, Max(tile.patch_class, 0), map);
}

bool IsInScratch(const Tile& tile, int32_t map) { return FormatOf(tile, map).scratch_offset >= 0; }

int32_t PixelBytes(const Tile& tile, int32_t map) {
  return RunBytes(tile.params.maps[map].channels, FormatOf(tile, map).bits);
}

// From row to row where the map's region stands.
int32_t RowBytes(const Tile& tile, int32_t map) {
  const int32_t row_pixels =
      IsInScratch(tile, map) ? Length(tile.regions[map].columns) : tile.params.maps[map].width;
  return row_pixels * PixelBytes(tile, map);
}

FeatureMap View(const Tile& tile, int32_t map, int32_t height, int32_t width) {
  const StageFormat& format = FormatOf(tile, map);
  return {height,           width, tile.params.maps[map].channels, RowBytes(tile, map), format.bits,
          format.zero_point};
}

// The tile's region of a map, as a kernel reads it.
FeatureMap InputView(const Tile& tile, int32_t map) {
  const Region& region = tile.regions[map];
  return View(tile, map, Length(region.rows), Length(region.columns));
}

// The part of it that the tile computes.
FeatureMap OutputView(const Tile& tile, int32_t map) {
  const Region& region = tile.regions[map];
  return View(tile, map, FreshLength(region.rows), FreshLength(region.columns));
}

// Where pixel (row, column) stands, counted from X or Y for these two, else from scratch.
int32_t OffsetOf(const Tile& tile, int32_t map, int32_t row, int32_t column) {
  int32_t offset = 0;
  if (IsInScratch(tile, map)) {
    offset = FormatOf(tile, map).scratch_offset;
    row -= tile.regions[map].rows.begin;
    column -= tile.regions[map].columns.begin;
  }
  return offset + row * RowBytes(tile, map) + column * PixelBytes(tile, map);
}

const uint8_t* InputData(const Tile& tile, int32_t map) {
  const Region& region = tile.regions[map];
  return (IsInScratch(tile, map) ? tile.scratch : tile.x.map) +
         OffsetOf(tile, map, region.rows.begin, region.columns.begin);
}

uint8_t* OutputData(const Tile& tile, int32_t map) {
  const Region& region = tile.regions[map];
  return (IsInScratch(tile, map) ? tile.scratch : tile.y) +
         OffsetOf(tile, map, region.rows.fresh, region.columns.fresh);
}

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
  kernel(params, InputData(tile, op.input0), tile.params.filters + op.filter_offset,
         ChannelTableOf(table, params.output.channels), OutputData(tile, op.output),
         tile.kernel_scratch);
}

// An input's region may be larger than the sum's, when another op needs more of it.
const uint8_t* AddInputData(const Tile& tile, const StageOp& op, int32_t map) {
  const Region& input = tile.regions[map];
  const Region& output = tile.regions[op.output];
  return InputData(tile, map) + PixelOffset(InputView(tile, map),
                                            output.rows.fresh - input.rows.begin,
                                            output.columns.fresh - input.columns.begin);
}

void RunAdd(const Tile& tile, const StageOp& op, const int32_t* table) {
  const AddParams params = {InputView(tile, op.input0),
                            InputView(tile, op.input1),
                            OutputView(tile, op.output),
                            FormatOf(tile, op.output).clamp,
                            {{table[0], table[1]}, {table[2], table[3]}, {table[4], table[5]}}};
  tile.kernels.add(params, AddInputData(tile, op, op.input0), AddInputData(tile, op, op.input1),
                   OutputData(tile, op.output));
}

void RunPool2D(const Tile& tile, const StageOp& op, const int32_t* table) {
  const Pool2DParams params = {InputView(tile, op.input0),
                               OutputView(tile, op.output),
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
      InputView(tile, op.input0),      OutputView(tile, op.output), window.pad_top, window.pad_left,
      FormatOf(tile, op.output).clamp, {table[0], table[1]}};
  tile.kernels.requantize(params, InputData(tile, op.input0), OutputData(tile, op.output));
}

void RunLut(const Tile& tile, const StageOp& op, const int32_t* table) {
  const Window window = LocalWindow(tile, op);
  const FeatureMap input = InputView(tile, op.input0);
  const LutParams params = {input, OutputView(tile, op.output), window.pad_top, window.pad_left,
                            op.kind == kStageChannelLut ? NumLutEntries(input.bits) : 0};
  tile.kernels.lut(params, InputData(tile, op.input0), EntriesOf(table),
                   OutputData(tile, op.output));
}

void RunKernel(const Tile& tile, int32_t index) {
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
    case kStageLut:
    case kStageChannelLut:
      return RunLut(tile, op, table);
  }
}

// Gives a map's region all of its pixels: what was kept, and by `compute` what is fresh, which returns
// whether it could.
template <typename Compute>
bool Fill(const Tile& tile, int32_t map, Compute compute) {
  const StageMap& shape = tile.params.maps[map];
  const Region& region = tile.regions[map];
  if (IsEmpty(region)) return true;
  if (!IsInScratch(tile, map)) return compute();  // Y
  uint8_t* buffer = tile.scratch + FormatOf(tile, map).scratch_offset;
  LoadHalo(shape, region, PixelBytes(tile, map), tile.scratch, buffer);
  if (!IsKept(region) && !compute()) return false;
  SaveHalo(shape, region, PixelBytes(tile, map), buffer, tile.scratch);
  return true;
}

bool ReadInput(const Tile& tile) {
  const Region& region = tile.regions[0];
  const FeatureMap view = OutputView(tile, 0);
  return tile.x.reader.read(tile.x.reader.context,
                            {region.rows.fresh, region.columns.fresh, view.height, view.width,
                             view.row_bytes, OutputData(tile, 0)});
}

// The tile's part of the sums that Y is made of.
void Reduce(const Tile& tile) {
  const PatchStageParams& params = tile.params;
  const int32_t map = TiledMap(params);
  const Region& region = tile.regions[map];
  const StageFormat& format = FormatOf(tile, map + 1);
  auto* sums = reinterpret_cast<int32_t*>(tile.scratch + format.scratch_offset);
  AddToSums(params, tile.kernels, InputView(tile, map), region.rows.begin, region.columns.begin,
            InputData(tile, map), sums);
}

// Returns false if the reader failed.
bool RunTile(Tile* running) {
  const Tile& tile = *running;
  if (IsStreamed(tile.params) && !Fill(tile, 0, [&] { return ReadInput(tile); })) return false;
  if (tile.patch_class == kChosenAtRunTime) {
    running->patch_class =
        HasOutliers(tile.params.header, InputView(tile, 0), InputData(tile, 0)) ? 0 : 1;
  }
  const int32_t tiled_map = TiledMap(tile.params);
  for (int32_t i = 0; i < tiled_map; ++i) {
    Fill(tile, tile.params.ops[i].output, [&] {
      RunKernel(tile, i);
      return true;
    });
  }
  if (EndsInReduction(tile.params)) Reduce(tile);
  return true;
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

// The most that one kernel needs for a tile.
int32_t LargestKernelScratch(const Tile& tile) {
  int32_t bytes = 0;
  for (int32_t i = 0; i < TiledMap(tile.params); ++i) {
    const StageOp& op = tile.params.ops[i];
    if (IsKept(tile.regions[op.output])) continue;
    bytes = Max(bytes, static_cast<int32_t>(KernelScratchBytes(tile, op)));
  }
  return bytes;
}

// Calls visit(&tile) for all tiles, in order, as long as it returns true.
template <typename Visit>
bool ForEachTile(Tile* tile, Visit visit) {
  const PatchStageParams& params = tile->params;
  const Priming priming = PrimingOf(params, tile->regions);
  return ForEachTile(params, priming, [&](int32_t row, int32_t column, int32_t nearest) {
    tile->patch_class = params.patch_classes[nearest];
    ComputeRegions(params, priming, row, column, tile->regions);
    return visit(tile);
  });
}

size_t MapScratchBytes(const PatchStageParams& params) {
  int32_t bytes = 0;
  const int32_t num_formats = params.header.num_classes * params.header.num_maps;
  for (int32_t i = 0; i < num_formats; ++i) {
    bytes = Max(bytes, params.formats[i].scratch_offset + params.formats[i].scratch_bytes);
  }
  for (int32_t m = 0; m < params.header.num_maps; ++m) {
    const StageMap& map = params.maps[m];
    bytes = Max(bytes, Max(map.left_offset + map.left_bytes, map.top_offset + map.top_bytes));
  }
  return static_cast<size_t>(bytes);
}

size_t KernelScratchOffset(const PatchStageParams& params) {
  return (MapScratchBytes(params) + 3) / 4 * 4;
}

// `may_go_on` is asked before each tile.
template <typename MayGoOn>
Status RunStage(const PatchStageParams& params, const Kernels& kernels, const StageInput& x,
                uint8_t* scratch, uint8_t* y, MayGoOn may_go_on) {
  Tile tile = {params, kernels, x, scratch, scratch + KernelScratchOffset(params), y, 0, {}};
  if (EndsInReduction(params)) ClearSums(params, scratch);
  Status status = Status::kOk;
  ForEachTile(&tile, [&](Tile* at) {
    if (!may_go_on()) {
      status = Status::kStopped;
    } else if (!RunTile(at)) {
      status = Status::kReaderFailed;
    }
    return status == Status::kOk;
  });
  if (status == Status::kOk && EndsInReduction(params)) FinishReduction(params, scratch, y);
  return status;
}

}  // namespace

size_t PatchStageScratchBytes(const PatchStageParams& params, const Kernels& kernels) {
  const StageInput no_input(nullptr);
  Tile tile = {params, kernels, no_input, nullptr, nullptr, nullptr, 0, {}};
  int32_t kernel_bytes = 0;
  ForEachTile(&tile, [&](Tile* at) {
    const int32_t last_class = at->patch_class == kChosenAtRunTime ? 1 : at->patch_class;
    for (int32_t k = Max(at->patch_class, 0); k <= last_class; ++k) {
      at->patch_class = k;
      kernel_bytes = Max(kernel_bytes, LargestKernelScratch(*at));
    }
    return true;
  });
  if (kernel_bytes == 0) return MapScratchBytes(params);
  return KernelScratchOffset(params) + static_cast<size_t>(kernel_bytes);
}

Status PatchStage(const PatchStageParams& params, const Kernels& kernels, const StageInput& x,
                  uint8_t* scratch, uint8_t* y) {
  return RunStage(params, kernels, x, scratch, y, [] { return true; });
}

Status PatchStageWithHook(const PatchStageParams& params, const Kernels& kernels,
                          const StageInput& x, uint8_t* scratch, uint8_t* y, const Hook& hook,
                          int32_t op) {
  Progress next = {op, -1};
  return RunStage(params, kernels, x, scratch, y, [&] {
    ++next.tile;
    return hook.call(hook.context, next);
  });
}

}  // namespace quantmcu
