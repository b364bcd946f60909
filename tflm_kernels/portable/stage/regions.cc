// At -O3 GCC makes a copy of the search for each axis.
#ifndef __clang__
#pragma GCC optimize("O2")
#endif

#include "tflm_kernels/portable/stage/regions.h"

namespace quantmcu {
namespace {

int32_t CeilDivide(int32_t a, int32_t b) { return (a + b - 1) / b; }

int64_t FloorDivide(int64_t a, int32_t b) {
  if (b == 1) return a;
  return a >= 0 ? a / b : -((b - 1 - a) / b);
}

int32_t Clip(int32_t value, int32_t extent) { return Min(Max(value, 0), extent); }

// One axis of the stage: the fields of maps and ops that belong to it.
struct Axis {
  Span Region::*span;
  int32_t StageMap::*extent;
  int32_t Window::*kernel;
  int32_t Window::*stride;
  int32_t Window::*dilation;
  int32_t Window::*pad;
  int32_t cached_from;   // the smallest cache mode in which maps keep what they computed
  int32_t primed_alone;  // what primes this axis alone
};

constexpr Axis kRows = {&Region::rows,
                        &StageMap::height,
                        &Window::kernel_height,
                        &Window::stride_height,
                        &Window::dilation_height,
                        &Window::pad_top,
                        kCacheFull,
                        kRowsPrimed};
constexpr Axis kColumns = {&Region::columns,
                           &StageMap::width,
                           &Window::kernel_width,
                           &Window::stride_width,
                           &Window::dilation_width,
                           &Window::pad_left,
                           kCacheRows,
                           kPrimed};

bool IsCached(const Axis& axis, const StageMap& map) { return map.cache_mode >= axis.cached_from; }

// The end of a span before it is clipped at 0: how far a map is from being needed.
constexpr int32_t kUnread = INT32_MIN;
constexpr int64_t kFarthest = -(int64_t{1} << 30);

bool ReadsPart(const PatchStageParams& params, const StageOp& op, int32_t map) {
  const int32_t num_read = IsGated(params, op) ? 1 : NumInputs(op);
  for (int32_t j = 0; j < num_read; ++j) {
    if (InputOf(op, j) == map) return true;
  }
  return false;
}

// The factor by which an op makes its map larger, and how far its reads move with each pixel of
// that.
int32_t FactorOf(const Axis& axis, const StageOp& op) {
  return Upsamples(op) ? WindowOf(op).*axis.stride : 1;
}
int32_t StrideOf(const Axis& axis, const StageOp& op) {
  return Upsamples(op) ? 1 : WindowOf(op).*axis.stride;
}

// How far op `i` must compute for its next tile to read its input from where ops behind it will.
[[gnu::cold, gnu::noinline]] int32_t ReachAhead(const PatchStageParams& params, const Axis& axis,
                                                int32_t i, const int32_t* reached) {
  const StageOp& op = params.ops[i];
  const int32_t extent = params.maps[op.output].*axis.extent;
  int64_t next = INT64_MAX;
  bool is_read = false;
  for (int32_t k = i + 1; k < NumTiledOps(params); ++k) {
    const StageOp& other = params.ops[k];
    if (!ReadsPart(params, other, op.input0)) continue;
    const int32_t reach = reached[other.output];
    if (reach == kUnread) return kUnread;
    is_read = true;
    if (reach >= params.maps[other.output].*axis.extent) continue;
    const int64_t start = int64_t{reach} * StrideOf(axis, other) - WindowOf(other).*axis.pad;
    const int64_t first = FloorDivide(start, FactorOf(axis, other));
    next = first < next ? first : next;
  }
  if (!is_read) return kUnread;
  if (next == INT64_MAX) return extent;
  const int64_t end = next * FactorOf(axis, op) + WindowOf(op).*axis.pad;
  const int64_t reach = -FloorDivide(-end, StrideOf(axis, op));
  return static_cast<int32_t>(reach < kFarthest ? kFarthest : (reach < extent ? reach : extent));
}

// Widens what is read of an op's input by what the op reads of it for its own span. Where halos are
// `kept`, what an op that is not done yet will read must be on its way, and stay.
void Join(const Axis& axis, bool is_kept, const StageOp& op, const StageMap& output_map,
          const Span& output, int32_t output_reached, const StageMap& input_map, Span* input,
          int32_t* input_reached) {
  const bool is_waiting =
      is_kept && output_reached < output_map.*axis.extent && output_reached > kUnread;
  if (FreshLength(output) == 0 && !is_waiting) return;
  const int32_t extent = input_map.*axis.extent;
  const Window& window = WindowOf(op);
  const int32_t stride = StrideOf(axis, op);
  const int32_t factor = FactorOf(axis, op);
  const int32_t origin = -(window.*axis.pad);
  const int32_t begin =
      Clip(static_cast<int32_t>(FloorDivide(origin + output.fresh * stride, factor)), extent);
  const int64_t last = FloorDivide((int64_t{output_reached} - 1) * stride + origin +
                                       int64_t{window.*axis.kernel - 1} * (window.*axis.dilation),
                                   factor);
  const int64_t most = extent;
  const int64_t clipped = last + 1 < kFarthest ? kFarthest : (last + 1 < most ? last + 1 : most);
  const auto end = static_cast<int32_t>(clipped);
  if (is_kept || begin < end) input->begin = static_cast<int16_t>(Min(input->begin, begin));
  *input_reached = Max(*input_reached, end);
}

// Completes a map's span, once all that its readers need is joined. `before` is the end of what
// the tile before computed.
void Settle(bool is_cached, int16_t before, int32_t reached, Span* span) {
  span->end = static_cast<int16_t>(Max(reached, 0));
  if (is_cached) {
    span->end = static_cast<int16_t>(Max(span->end, before));
    span->begin = static_cast<int16_t>(Min(span->begin, span->end));
    span->fresh = static_cast<int16_t>(Min(Max(span->begin, before), span->end));
  } else {
    span->end = static_cast<int16_t>(Max(span->begin, span->end));
    span->fresh = span->begin;
  }
}

// All maps' spans along an axis, for the tile [begin, end) of the tiled map; the spans hold those
// of the tile before unless this is the first one.
void ComputeSpans(const PatchStageParams& params, const Axis& axis, bool is_first, int32_t begin,
                  int32_t end, Region* regions) {
  const int32_t tiled_map = TiledMap(params);
  const bool is_kept = params.header.cache_mode >= axis.cached_from;
  int16_t before[kMaxStageMaps];
  int32_t reached[kMaxStageMaps];
  for (int32_t m = 0; m < tiled_map; ++m) {
    Span& span = regions[m].*axis.span;
    before[m] = is_first ? 0 : span.end;
    reached[m] = kUnread;
    span = {static_cast<int16_t>(params.maps[m].*axis.extent), 0, 0};
  }
  reached[tiled_map] = end;
  const auto first = static_cast<int16_t>(Max(begin, 0));
  regions[tiled_map].*axis.span = {first, first, static_cast<int16_t>(Max(end, 0))};
  for (int32_t i = NumTiledOps(params) - 1; i >= 0; --i) {
    const StageOp& op = params.ops[i];
    const StageMap& output_map = params.maps[op.output];
    Span& output = regions[op.output].*axis.span;
    if (op.output != tiled_map) {
      if (output_map.cache_mode == kCacheAhead) {
        reached[op.output] = Max(reached[op.output], ReachAhead(params, axis, i, reached));
      }
      Settle(IsCached(axis, output_map), before[op.output], reached[op.output], &output);
    }
    const int32_t num_read = IsGated(params, op) ? 1 : NumInputs(op);
    for (int32_t j = 0; j < num_read; ++j) {
      const int32_t m = InputOf(op, j);
      Join(axis, is_kept, op, output_map, output, reached[op.output], params.maps[m],
           &(regions[m].*axis.span), &reached[m]);
    }
  }
  for (int32_t m = 0; m < NumStageInputs(params.header); ++m) {
    Settle(IsCached(axis, params.maps[m]), before[m], reached[m], &(regions[m].*axis.span));
  }
}

// Whether a tile that ends at `end` computes anything of a cached map.
bool BringsOnTheWay(const PatchStageParams& params, const Axis& axis, int32_t tile, int32_t end,
                    Region* regions) {
  ComputeSpans(params, axis, true, end - tile, end, regions);
  for (int32_t m = 0; m < TiledMap(params); ++m) {
    if (IsCached(axis, params.maps[m]) && (regions[m].*axis.span).end > 0) return true;
  }
  return false;
}

int32_t NumPriming(const PatchStageParams& params, const Axis& axis, int32_t tile,
                   Region* regions) {
  const bool is_primed =
      params.header.primed == kPrimed || params.header.primed == axis.primed_alone;
  if (!is_primed || params.header.cache_mode < axis.cached_from) return 0;
  int32_t count = 0;
  while (count <= kMaxPriming && BringsOnTheWay(params, axis, tile, -count * tile, regions)) {
    ++count;
  }
  return count;
}

const StageMap& Tiled(const PatchStageParams& params) { return params.maps[TiledMap(params)]; }

}  // namespace

int32_t NumTileRows(const PatchStageParams& params) {
  return CeilDivide(Tiled(params).height, params.header.tile_height);
}

int32_t NumTileColumns(const PatchStageParams& params) {
  return CeilDivide(Tiled(params).width, params.header.tile_width);
}

Priming PrimingOf(const PatchStageParams& params, Region* regions) {
  return {NumPriming(params, kRows, params.header.tile_height, regions),
          NumPriming(params, kColumns, params.header.tile_width, regions)};
}

void ComputeRegions(const PatchStageParams& params, const Priming& priming, int32_t row,
                    int32_t column, Region* regions) {
  const StageMap& tiled = Tiled(params);
  const int32_t height = params.header.tile_height;
  const int32_t width = params.header.tile_width;
  const bool is_first_column = column == -priming.columns;
  if (is_first_column) {
    ComputeSpans(params, kRows, row == -priming.rows, row * height,
                 Min((row + 1) * height, tiled.height), regions);
  }
  ComputeSpans(params, kColumns, is_first_column, column * width,
               Min((column + 1) * width, tiled.width), regions);
}

}  // namespace quantmcu
