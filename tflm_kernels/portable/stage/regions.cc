// At -O3 GCC unrolls loops that run a few times.
#ifndef __clang__
#pragma GCC optimize("O2")
#endif

#include "tflm_kernels/portable/stage/regions.h"

#include <stddef.h>

#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace {

// Of an axis: 0 along the rows of a map, 1 along its columns. Pairs of words stand in the order of axes.
constexpr int32_t kRows = 0;
constexpr int32_t kColumns = 1;

int32_t ExtentOf(const StageMap& map, int32_t axis) {
  static_assert(offsetof(StageMap, width) == 4 && offsetof(StageMap, height) == 0, "a pair");
  return reinterpret_cast<const int32_t*>(&map)[axis];
}

struct Slide {
  int32_t kernel;
  int32_t stride;
  int32_t dilation;
  int32_t pad;
  int32_t factor;  // by which an op makes its map larger: its stride is 1 then
};

Slide SlideOf(const StageOp& op, int32_t axis) {
  static_assert(sizeof(Window) == 8 * sizeof(int32_t), "pairs of kernel, stride, dilation, pad");
  const auto* words = reinterpret_cast<const int32_t*>(&WindowOf(op)) + axis;
  Slide slide = {words[0], words[2], words[4], words[6], 1};
  if (Upsamples(op)) {
    slide.factor = slide.stride;
    slide.stride = 1;
  }
  return slide;
}

// The smallest cache mode in which maps keep what they computed.
int32_t CachedFrom(int32_t axis) { return kCacheFull - axis; }

bool IsCached(const StageMap& map, int32_t axis) { return map.cache_mode >= CachedFrom(axis); }

int32_t CeilDivide(int32_t a, int32_t b) { return (a + b - 1) / b; }

int32_t FloorDivide(int32_t a, int32_t b) {
  if (b == 1) return a;
  return a >= 0 ? a / b : -((b - 1 - a) / b);
}

int32_t Clip(int32_t value, int32_t extent) { return Min(Max(value, 0), extent); }

// The end of a span before it is clipped at 0: how far a map is from being needed. What is farther than any map is
// large makes no difference.
constexpr int32_t kUnread = INT32_MIN;
constexpr int32_t kFarthest = 1 << 30;

[[gnu::cold, gnu::noinline]] int32_t SlidFar(int32_t at, int32_t stride, int32_t offset) {
  const int64_t place = int64_t{at} * stride + offset;
  if (place < -kFarthest) return -kFarthest;
  return place < kFarthest ? static_cast<int32_t>(place) : kFarthest;
}

// Where a window that moves by `stride` is for pixel `at`; beside a map all of it fits int32.
int32_t Slid(int32_t at, int32_t stride, int32_t offset) {
  if (-kMaxExtent <= at && at <= kMaxExtent) return at * stride + offset;
  return SlidFar(at, stride, offset);
}

// A gate has no part that a tile needs, all of it is read.
int32_t NumPartsRead(const PatchStageParams& params, const StageOp& op) {
  return IsGated(params, op) ? 1 : NumInputs(op);
}

bool ReadsPart(const PatchStageParams& params, const StageOp& op, int32_t map) {
  if (op.input0 == map) return true;
  if (op.input1 < 0) return false;
  const int32_t num_read = NumPartsRead(params, op);
  for (int32_t j = 1; j < num_read; ++j) {
    if (InputOf(op, j) == map) return true;
  }
  return false;
}

// How far op `i` must compute for its next tile to read its input from where ops behind it will.
[[gnu::cold, gnu::noinline]] int32_t ReachAhead(const PatchStageParams& params, int32_t axis,
                                                int32_t i, const int32_t* reached) {
  const StageOp& op = params.ops[i];
  const int32_t extent = ExtentOf(params.maps[op.output], axis);
  int32_t next = INT32_MAX;
  bool is_read = false;
  for (int32_t k = i + 1; k < NumTiledOps(params); ++k) {
    const StageOp& other = params.ops[k];
    if (!ReadsPart(params, other, op.input0)) continue;
    const int32_t reach = reached[other.output];
    if (reach == kUnread) return kUnread;
    is_read = true;
    if (reach >= ExtentOf(params.maps[other.output], axis)) continue;
    const Slide slide = SlideOf(other, axis);
    next = Min(next, FloorDivide(Slid(reach, slide.stride, -slide.pad), slide.factor));
  }
  if (!is_read) return kUnread;
  if (next == INT32_MAX) return extent;
  const Slide slide = SlideOf(op, axis);
  const int32_t end = Slid(next, slide.factor, slide.pad);
  return Min(-FloorDivide(-end, slide.stride), extent);
}

// Completes a map's span, once all that its readers need is joined. `before` is the end of what
// the tile before computed.
void Settle(bool is_cached, int32_t before, int32_t reached, Span* span) {
  int32_t begin = span->begin;
  int32_t fresh = begin;
  int32_t end = Max(reached, 0);
  if (is_cached) {
    end = Max(end, before);
    begin = Min(begin, end);
    fresh = Min(Max(begin, before), end);
  } else {
    end = Max(begin, end);
  }
  *span = {static_cast<int16_t>(begin), static_cast<int16_t>(fresh), static_cast<int16_t>(end)};
}

// Widens what is read of an op's inputs by what the op reads of them for its own span.
void Join(const PatchStageParams& params, int32_t axis, bool is_kept, const StageOp& op,
          int32_t fresh, int32_t output_reached, Span* spans, int32_t* reached) {
  const Slide slide = SlideOf(op, axis);
  const int32_t first = FloorDivide(fresh * slide.stride - slide.pad, slide.factor);
  const int32_t last = FloorDivide(
      Slid(output_reached - 1, slide.stride, (slide.kernel - 1) * slide.dilation - slide.pad),
      slide.factor);
  const int32_t num_read = op.input1 < 0 ? 1 : NumPartsRead(params, op);
  for (int32_t j = 0; j < num_read; ++j) {
    const int32_t m = j == 0 ? op.input0 : InputOf(op, j);
    const int32_t extent = ExtentOf(params.maps[m], axis);
    const int32_t begin = Clip(first, extent);
    const int32_t end = Min(last + 1, extent);
    if ((is_kept || begin < end) && begin < spans[m].begin) {
      spans[m].begin = static_cast<int16_t>(begin);
    }
    reached[m] = Max(reached[m], end);
  }
}

// All maps' spans along an axis, for the tile [begin, end) of the tiled map. `before` are those of the tile before, null
// of the first one; they may stand in the same place.
void ComputeSpans(const PatchStageParams& params, int32_t axis, const Span* before, int32_t begin,
                  int32_t end, Span* spans) {
  const int32_t tiled_map = TiledMap(params);
  const bool is_kept = params.header.cache_mode >= CachedFrom(axis);
  int32_t reached[kMaxStageMaps];
  for (int32_t m = 0; m < tiled_map; ++m) {
    reached[m] = kUnread;
    spans[m].begin = static_cast<int16_t>(ExtentOf(params.maps[m], axis));
  }
  const auto end_before = [before](int32_t m) -> int32_t {
    return before == nullptr ? 0 : before[m].end;
  };
  reached[tiled_map] = end;
  const auto first = static_cast<int16_t>(Max(begin, 0));
  spans[tiled_map] = {first, first, static_cast<int16_t>(Max(end, 0))};
  for (int32_t i = NumTiledOps(params) - 1; i >= 0; --i) {
    const StageOp& op = params.ops[i];
    const StageMap& output_map = params.maps[op.output];
    int32_t reach = reached[op.output];
    Span* output = &spans[op.output];
    if (op.output != tiled_map) {
      if (output_map.cache_mode == kCacheAhead) {
        reach = Max(reach, ReachAhead(params, axis, i, reached));
        reached[op.output] = reach;
      }
      Settle(IsCached(output_map, axis), end_before(op.output), reach, output);
    }
    // Where halos are kept, what an op that is not done yet will read must be on its way, and stay.
    const bool is_waiting = is_kept && reach > kUnread && reach < ExtentOf(output_map, axis);
    if (FreshLength(*output) == 0 && !is_waiting) continue;
    Join(params, axis, is_kept, op, output->fresh, reach, spans, reached);
  }
  for (int32_t m = 0; m < NumStageInputs(params.header); ++m) {
    Settle(IsCached(params.maps[m], axis), end_before(m), reached[m], &spans[m]);
  }
}

// Whether a tile that ends at `end` computes anything of a cached map.
bool BringsOnTheWay(const PatchStageParams& params, int32_t axis, int32_t tile, int32_t end,
                    Span* spans) {
  ComputeSpans(params, axis, nullptr, end - tile, end, spans);
  for (int32_t m = 0; m < TiledMap(params); ++m) {
    if (IsCached(params.maps[m], axis) && spans[m].end > 0) return true;
  }
  return false;
}

int32_t NumPriming(const PatchStageParams& params, int32_t axis, int32_t tile, Span* spans) {
  // What primes this axis alone: kRowsPrimed or, which is never alone, kPrimed.
  const bool is_primed =
      params.header.primed == kPrimed || (params.header.primed == kRowsPrimed && axis == kRows);
  if (!is_primed || params.header.cache_mode < CachedFrom(axis)) return 0;
  int32_t count = 0;
  while (count <= kMaxPriming && BringsOnTheWay(params, axis, tile, -count * tile, spans)) {
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

Priming PrimingOf(const PatchStageParams& params, Span* spans) {
  return {NumPriming(params, kRows, params.header.tile_height, spans),
          NumPriming(params, kColumns, params.header.tile_width, spans)};
}

// The spans of columns stand behind those of rows: those of the first columns for all rows of tiles, and in the last
// place, where it is not one of these, those of the column of which the tile is.
Regions ComputeRegions(const PatchStageParams& params, const Priming& priming, int32_t row,
                       int32_t column, Span* spans, int32_t num_spans) {
  const StageMap& tiled = Tiled(params);
  const int32_t num_maps = TiledMap(params) + 1;
  const int32_t height = params.header.tile_height;
  const int32_t width = params.header.tile_width;
  const int32_t place = column + priming.columns;
  const bool is_first_row = row == -priming.rows;
  if (place == 0) {
    ComputeSpans(params, kRows, is_first_row ? nullptr : spans, row * height,
                 Min((row + 1) * height, tiled.height), spans);
  }
  const int32_t last = num_spans / num_maps - 2;
  const bool stays = place < last || priming.columns + NumTileColumns(params) <= last + 1;
  Span* columns = spans + num_maps * (1 + Min(place, last));
  if (is_first_row || !stays) {
    const Span* before = place > last ? columns : columns - num_maps;
    ComputeSpans(params, kColumns, place == 0 ? nullptr : before, column * width,
                 Min((column + 1) * width, tiled.width), columns);
  }
  return {spans, columns};
}

}  // namespace quantmcu
