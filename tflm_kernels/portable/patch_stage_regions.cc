#include "tflm_kernels/portable/patch_stage_regions.h"

namespace quantmcu {
namespace {

int32_t CeilDivide(int32_t a, int32_t b) { return (a + b - 1) / b; }

int32_t Clip(int32_t value, int32_t extent) { return Min(Max(value, 0), extent); }

// One axis of the stage: the fields of maps and ops that belong to it.
struct Axis {
  Span Region::*span;
  int32_t StageMap::*extent;
  int32_t Window::*kernel;
  int32_t Window::*stride;
  int32_t Window::*dilation;
  int32_t Window::*pad;
  int32_t cached_from;  // the smallest cache mode in which maps keep what they computed
};

constexpr Axis kRows = {&Region::rows,
                        &StageMap::height,
                        &Window::kernel_height,
                        &Window::stride_height,
                        &Window::dilation_height,
                        &Window::pad_top,
                        kCacheFull};
constexpr Axis kColumns = {&Region::columns,
                           &StageMap::width,
                           &Window::kernel_width,
                           &Window::stride_width,
                           &Window::dilation_width,
                           &Window::pad_left,
                           kCacheRows};

bool IsCached(const Axis& axis, const StageMap& map) { return map.cache_mode >= axis.cached_from; }

// Widens what is read of an op's input by what the op reads of it for its own span. Where halos are
// `kept`, a map's pixels from the first one that any later tile may read must stay.
void Join(const Axis& axis, bool is_kept, const StageOp& op, const StageMap& output_map,
          const Span& output, const StageMap& input_map, Span* input) {
  const int32_t extent = input_map.*axis.extent;
  const int32_t origin = -(op.window.*axis.pad);
  const int32_t begin = Clip(origin + output.fresh * (op.window.*axis.stride), extent);
  const int32_t last = origin + (output.end - 1) * (op.window.*axis.stride) +
                       (op.window.*axis.kernel - 1) * (op.window.*axis.dilation);
  // A cached map may have all of its pixels while later tiles still wait for what they read.
  const bool is_read = FreshLength(output) > 0 || (IsCached(axis, output_map) && output.end > 0);
  const int32_t end = is_read ? Clip(last + 1, extent) : 0;
  if (is_kept || begin < end) input->begin = static_cast<int16_t>(Min(input->begin, begin));
  input->end = static_cast<int16_t>(Max(input->end, end));
}

// Completes a map's span, once all that its readers need is joined. `before` is the end of what
// the tile before computed.
void Settle(bool is_cached, int16_t before, Span* span) {
  if (is_cached) {
    span->end = static_cast<int16_t>(Max(span->end, before));
    span->begin = static_cast<int16_t>(Min(span->begin, span->end));
    span->fresh = static_cast<int16_t>(Min(Max(span->begin, before), span->end));
  } else {
    span->end = static_cast<int16_t>(Max(span->begin, span->end));
    span->fresh = span->begin;
  }
}

// All maps' spans along an axis, for the span [begin, end) of the tiled map; the spans hold those
// of the tile before unless this is the first one.
void ComputeSpans(const PatchStageParams& params, const Axis& axis, bool is_first, int32_t begin,
                  int32_t end, Region* regions) {
  const int32_t tiled_map = TiledMap(params);
  const bool is_kept = params.header.cache_mode >= axis.cached_from;
  int16_t before[kMaxStageMaps];
  for (int32_t m = 0; m < tiled_map; ++m) {
    Span& span = regions[m].*axis.span;
    before[m] = is_first ? 0 : span.end;
    span = {static_cast<int16_t>(params.maps[m].*axis.extent), 0, 0};
  }
  regions[tiled_map].*axis.span = {static_cast<int16_t>(begin), static_cast<int16_t>(begin),
                                   static_cast<int16_t>(end)};
  for (int32_t i = tiled_map - 1; i >= 0; --i) {
    const StageOp& op = params.ops[i];
    const StageMap& output_map = params.maps[op.output];
    Span& output = regions[op.output].*axis.span;
    if (op.output != tiled_map) Settle(IsCached(axis, output_map), before[op.output], &output);
    const int32_t inputs[] = {op.input0, op.input1};
    for (int32_t m : inputs) {
      if (m < 0) continue;
      Join(axis, is_kept, op, output_map, output, params.maps[m], &(regions[m].*axis.span));
    }
  }
  Settle(IsCached(axis, params.maps[0]), before[0], &(regions[0].*axis.span));
}

const StageMap& Tiled(const PatchStageParams& params) { return params.maps[TiledMap(params)]; }

}  // namespace

int32_t NumTileRows(const PatchStageParams& params) {
  return CeilDivide(Tiled(params).height, params.header.tile_height);
}

int32_t NumTileColumns(const PatchStageParams& params) {
  return CeilDivide(Tiled(params).width, params.header.tile_width);
}

void ComputeRegions(const PatchStageParams& params, int32_t tile, Region* regions) {
  const StageMap& tiled = Tiled(params);
  const int32_t row = tile / NumTileColumns(params) * params.header.tile_height;
  const int32_t column = tile % NumTileColumns(params) * params.header.tile_width;
  if (column == 0) {
    ComputeSpans(params, kRows, row == 0, row, Min(row + params.header.tile_height, tiled.height),
                 regions);
  }
  ComputeSpans(params, kColumns, column == 0, column,
               Min(column + params.header.tile_width, tiled.width), regions);
}

}  // namespace quantmcu
