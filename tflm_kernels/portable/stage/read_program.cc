// Everything that PatchStage relies on is checked here, in the order in which one check may rely on the
// ones before it.
#include "tflm_kernels/portable/stage/read_program.h"

#include "tflm_kernels/portable/stage/check_classes.h"
#include "tflm_kernels/portable/stage/check_ops.h"
#include "tflm_kernels/portable/stage/check_overlaps.h"
#include "tflm_kernels/portable/stage/checks.h"
#include "tflm_kernels/portable/stage/regions.h"

namespace quantmcu {
namespace {

static_assert(sizeof(StageOp) == 16 * sizeof(int32_t), "docs/format.md F4, ops");
static_assert(sizeof(StageMap) == 10 * sizeof(int32_t), "docs/format.md F4, maps");
static_assert(sizeof(StageFormat) == 6 * sizeof(int32_t), "docs/format.md F4, formats");

bool CheckHeader(const PatchStageHeader& h, StageError* error) {
  return Require(InRange(h.tile_height, 1, kMaxExtent),
                 {"option", 0, "tile_height must be 1 to 32767", h.tile_height}, error) &&
         Require(InRange(h.tile_width, 1, kMaxExtent),
                 {"option", 1, "tile_width must be 1 to 32767", h.tile_width}, error) &&
         Require(InRange(h.num_ops, 1, kMaxStageMaps - 1),
                 {"option", 2, "num_ops must be 1 to 63", h.num_ops}, error) &&
         Require(InRange(h.num_maps, h.num_ops + 1, kMaxStageMaps) &&
                     NumStageInputs(h) <= kMaxStageInputs,
                 {"option", 3,
                  "num_maps must be num_ops and 1 to 8 inputs, 64 at most: each op writes one map",
                  h.num_maps},
                 error) &&
         Require(h.num_classes >= 1, {"option", 4, "num_classes must be at least 1", h.num_classes},
                 error) &&
         Require(InRange(h.cache_mode, kCacheNone, kCacheAhead),
                 {"option", 5, "cache_mode must be 0 to 3", h.cache_mode}, error) &&
         Require(InRange(h.primed, kNotPrimed, kRowsPrimed),
                 {"option", 6, "primed must be 0 to 2", h.primed}, error) &&
         Require(InRange(h.outlier_low, -128, 127),
                 {"option", 7, "outlier_low must be -128 to 127", h.outlier_low}, error) &&
         Require(InRange(h.outlier_high, -128, 127),
                 {"option", 8, "outlier_high must be -128 to 127", h.outlier_high}, error) &&
         Require(InRange(h.outlier_share, 0, 65536),
                 {"option", 9, "outlier_share must be 0 to 65536", h.outlier_share}, error);
}

bool CheckMaps(const PatchStageParams& p, StageError* error) {
  for (int32_t m = 0; m < p.header.num_maps; ++m) {
    const StageMap& map = p.maps[m];
    if (!Require(InRange(map.height, 1, kMaxExtent),
                 {"map", m, "height must be 1 to 32767", map.height}, error) ||
        !Require(InRange(map.width, 1, kMaxExtent),
                 {"map", m, "width must be 1 to 32767", map.width}, error) ||
        !Require(InRange(map.channels, 1, kMaxChannels),
                 {"map", m, "channels must be 1 to 16777216", map.channels}, error) ||
        !Require(SaturatingProduct(int64_t{map.height} * map.width, map.channels) <= kMaxBytes,
                 {"map", m, "must have less than 2^31 values", map.channels}, error)) {
      return false;
    }
  }
  return true;
}

// The sections whose places the header tells: all but the tables.
void LayOutFixed(const int32_t* program, PatchStageParams* p) {
  const PatchStageHeader& h = p->header;
  p->ops = reinterpret_cast<const StageOp*>(program);
  p->maps = reinterpret_cast<const StageMap*>(p->ops + h.num_ops);
  p->formats = reinterpret_cast<const StageFormat*>(p->maps + h.num_maps);
  p->table_offsets = reinterpret_cast<const int32_t*>(p->formats + h.num_classes * h.num_maps);
  p->patch_classes = p->table_offsets + h.num_classes * h.num_ops;
}

// Lays the sections over the words: fixed ones first, which tell how many tiles there are.
bool LayOut(const int32_t* program, int32_t num_words, PatchStageParams* p, StageError* error) {
  const PatchStageHeader& h = p->header;
  const int64_t num_fixed_words = int64_t{16} * h.num_ops + int64_t{10} * h.num_maps;
  const int64_t num_class_words =
      SaturatingProduct(h.num_classes, int64_t{6} * h.num_maps + h.num_ops);
  if (!Require(num_fixed_words + num_class_words <= num_words,
               {"program", 0, "is shorter than its ops, maps and formats", num_words}, error)) {
    return false;
  }
  LayOutFixed(program, p);
  if (!CheckMaps(*p, error)) return false;
  const int64_t num_tiles = int64_t{NumTileRows(*p)} * NumTileColumns(*p);
  if (!Require(num_fixed_words + num_class_words + num_tiles <= num_words,
               {"program", 0, "is shorter than its patch classes", num_words}, error)) {
    return false;
  }
  p->tables = p->patch_classes + num_tiles;
  return true;
}

// Where `used` is 0, nothing is kept and all of it must be 0.
bool CheckStore(int32_t m, int32_t used, int32_t offset, int32_t bytes, StageError* error) {
  if (used == 0) {
    return Require(offset == 0 && bytes == 0,
                   {"map", m, "must have no store for a halo that it does not keep", offset},
                   error);
  }
  return Require(offset >= 0 && offset % kAlignment == 0,
                 {"map", m, "a store's offset must be a multiple of 4", offset}, error) &&
         Require(bytes >= 0 && bytes <= kMaxBytes - offset,
                 {"map", m, "a store must end below 2^31", bytes}, error);
}

// What a map keeps. Relies on nothing of formats but X's place.
bool CheckKept(const PatchStageParams& p, int32_t m, StageError* error) {
  const StageMap& map = p.maps[m];
  const bool may_keep = m < TiledMap(p) && !IsResident(p, m);
  const int32_t most = may_keep ? p.header.cache_mode : kCacheNone;
  return Require(InRange(map.cache_mode, kCacheNone, most),
                 {"map", m,
                  "cache_mode must be at most the stage's, 0 for inputs, Y and what is reduced",
                  map.cache_mode},
                 error) &&
         Require(InRange(map.left_columns, 0, map.cache_mode >= kCacheRows ? map.width : 0),
                 {"map", m, "left_columns must fit the map and its cache_mode", map.left_columns},
                 error) &&
         Require(InRange(map.top_rows, 0, map.cache_mode >= kCacheFull ? map.height : 0),
                 {"map", m, "top_rows must fit the map and its cache_mode", map.top_rows}, error) &&
         CheckStore(m, map.left_columns, map.left_offset, map.left_bytes, error) &&
         CheckStore(m, map.top_rows, map.top_offset, map.top_bytes, error);
}

// Of the left store's bytes tiles decide.
bool CheckTopBytes(const PatchStageParams& p, int32_t m, StageError* error) {
  const StageMap& map = p.maps[m];
  const int32_t pixel_bytes = RunBytes(map.channels, FormatOf(p, 0, m).bits);
  const int64_t top_bytes = SaturatingProduct(map.top_rows, int64_t{map.width} * pixel_bytes);
  return Require(top_bytes <= map.top_bytes,
                 {"map", m, "needs more top_bytes than it has", map.top_bytes}, error);
}

using MapCheck = bool(const PatchStageParams& params, int32_t map, StageError* error);

bool CheckEachMap(const PatchStageParams& p, MapCheck* check, StageError* error) {
  for (int32_t m = 0; m < p.header.num_maps; ++m) {
    if (!check(p, m, error)) return false;
  }
  return true;
}

// Whether a tile's region of a map, and the halo that it finds and leaves, fit the map's places.
bool CheckRegion(const PatchStageParams& p, int32_t t, int32_t patch_class, int32_t m,
                 const Region& region, StageError* error) {
  const StageMap& map = p.maps[m];
  const StageFormat& format = FormatOf(p, patch_class, m);
  const int32_t pixel_bytes = RunBytes(map.channels, format.bits);
  const int64_t row_bytes = int64_t{Length(region.columns)} * pixel_bytes;
  const int64_t left_bytes = int64_t{Length(region.rows)} * map.left_columns * pixel_bytes;
  return Require(Length(region.rows) * row_bytes <= format.scratch_bytes,
                 {"tile", t, "needs more scratch_bytes than this map has", m}, error) &&
         Require(left_bytes <= map.left_bytes,
                 {"tile", t, "needs more left_bytes than this map has", m}, error) &&
         Require(HaloLength(region.columns) <= map.left_columns,
                 {"tile", t, "needs more left_columns than this map keeps", m}, error) &&
         Require(HaloLength(region.rows) <= map.top_rows,
                 {"tile", t, "needs more top_rows than this map keeps", m}, error);
}

// Whether all that a tile's class may be has room for its regions. `t`: its place in patch_classes.
bool CheckTile(const PatchStageParams& p, int32_t t, const Regions& regions, StageError* error) {
  const int32_t patch_class = p.patch_classes[t];
  const int32_t last_class = patch_class == kChosenAtRunTime ? 1 : patch_class;
  for (int32_t k = Max(patch_class, 0); k <= last_class; ++k) {
    for (int32_t m = 0; m <= TiledMap(p) && m < p.header.num_maps - 1; ++m) {
      const Region region = {regions.rows[m], regions.columns[m]};
      if (!IsResident(p, m) && !CheckRegion(p, t, k, m, region, error)) return false;
    }
  }
  return true;
}

bool CheckPatchClass(const PatchStageParams& p, int32_t t, StageError* error) {
  const int32_t patch_class = p.patch_classes[t];
  return Require(InRange(patch_class, kChosenAtRunTime, p.header.num_classes - 1),
                 {"tile", t, "patch class must be below num_classes", patch_class}, error) &&
         Require(patch_class != kChosenAtRunTime || p.header.num_classes >= 2,
                 {"tile", t, "a class chosen at run time needs two classes", p.header.num_classes},
                 error) &&
         Require(patch_class != kChosenAtRunTime ||
                     FormatOf(p, 0, 0).scratch_offset == FormatOf(p, 1, 0).scratch_offset,
                 {"tile", t, "a class chosen at run time needs X in one place", patch_class},
                 error);
}

bool CheckTiles(const PatchStageParams& p, StageError* error) {
  const int32_t num_tiles = NumTileRows(p) * NumTileColumns(p);
  for (int32_t t = 0; t < num_tiles; ++t) {
    if (!CheckPatchClass(p, t, error)) return false;
  }
  Span spans[kNumSpans];
  const Priming priming = PrimingOf(p, spans);
  return Require(Max(priming.rows, priming.columns) <= kMaxPriming,
                 {"program", 0, "needs more than 1024 priming tiles", priming.rows}, error) &&
         ForEachTile(p, priming, [&](int32_t row, int32_t column, int32_t nearest) {
           const Regions regions = ComputeRegions(p, priming, row, column, spans, kNumSpans);
           return CheckTile(p, nearest, regions, error);
         });
}

}  // namespace

bool ReadPatchStageProgram(const PatchStageHeader& header, const int32_t* program,
                           int32_t num_words, const uint8_t* filters, int32_t num_filter_bytes,
                           const Kernels& kernels, PatchStageParams* params, StageError* error) {
  params->header = header;
  params->filters = filters;
  if (!CheckHeader(header, error) || !LayOut(program, num_words, params, error)) return false;
  const int32_t num_table_words = static_cast<int32_t>(program + num_words - params->tables);
  return CheckOps(*params, kernels, num_filter_bytes, error) &&
         CheckEachMap(*params, CheckKept, error) && CheckClasses(*params, num_table_words, error) &&
         CheckEachMap(*params, CheckTopBytes, error) && CheckOverlaps(*params, error) &&
         CheckTiles(*params, error);
}

PatchStageParams ParamsOfPatchStage(const PatchStageHeader& header, const int32_t* program,
                                    const uint8_t* filters) {
  PatchStageParams params = {};
  params.header = header;
  params.filters = filters;
  LayOutFixed(program, &params);
  params.tables = params.patch_classes + NumTileRows(params) * NumTileColumns(params);
  return params;
}

}  // namespace quantmcu
