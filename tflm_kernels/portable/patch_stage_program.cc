// ReadPatchStageProgram: everything that PatchStage relies on is checked here, in the order in
// which one check may rely on the ones before it.
#include "tflm_kernels/portable/limits.h"
#include "tflm_kernels/portable/patch_stage.h"
#include "tflm_kernels/portable/patch_stage_checks.h"
#include "tflm_kernels/portable/patch_stage_regions.h"

namespace quantmcu {
namespace {

static_assert(sizeof(StageOp) == 16 * sizeof(int32_t), "docs/format.md F4, ops");
static_assert(sizeof(StageMap) == 3 * sizeof(int32_t), "docs/format.md F4, maps");
static_assert(sizeof(StageFormat) == 6 * sizeof(int32_t), "docs/format.md F4, formats");

bool CheckHeader(const PatchStageHeader& h, StageError* error) {
  return Require(InRange(h.tile_height, 1, kMaxExtent),
                 {"option", 0, "tile_height must be 1 to 32767", h.tile_height}, error) &&
         Require(InRange(h.tile_width, 1, kMaxExtent),
                 {"option", 1, "tile_width must be 1 to 32767", h.tile_width}, error) &&
         Require(InRange(h.num_ops, 1, kMaxStageMaps - 1),
                 {"option", 2, "num_ops must be 1 to 63", h.num_ops}, error) &&
         Require(h.num_maps == h.num_ops + 1,
                 {"option", 3, "num_maps must be num_ops + 1: each op writes one map", h.num_maps},
                 error) &&
         Require(h.num_classes >= 1, {"option", 4, "num_classes must be at least 1", h.num_classes},
                 error);
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

// Lays the sections over the words: fixed ones first, which tell how many tiles there are.
bool LayOut(const int32_t* program, int32_t num_words, PatchStageParams* p, StageError* error) {
  const PatchStageHeader& h = p->header;
  const int64_t num_fixed_words = int64_t{16} * h.num_ops + int64_t{3} * h.num_maps;
  const int64_t num_class_words =
      SaturatingProduct(h.num_classes, int64_t{6} * h.num_maps + h.num_ops);
  if (!Require(num_fixed_words + num_class_words <= num_words,
               {"program", 0, "is shorter than its ops, maps and formats", num_words}, error)) {
    return false;
  }
  p->ops = reinterpret_cast<const StageOp*>(program);
  p->maps = reinterpret_cast<const StageMap*>(p->ops + h.num_ops);
  p->formats = reinterpret_cast<const StageFormat*>(p->maps + h.num_maps);
  p->table_offsets = reinterpret_cast<const int32_t*>(p->formats + h.num_classes * h.num_maps);
  p->patch_classes = p->table_offsets + h.num_classes * h.num_ops;
  if (!CheckMaps(*p, error)) return false;
  const int64_t num_tiles = int64_t{NumTileRows(*p)} * NumTileColumns(*p);
  if (!Require(num_fixed_words + num_class_words + num_tiles <= num_words,
               {"program", 0, "is shorter than its patch classes", num_words}, error)) {
    return false;
  }
  p->tables = p->patch_classes + num_tiles;
  return true;
}

bool SameFormat(const StageFormat& a, const StageFormat& b) {
  return a.bits == b.bits && a.zero_point == b.zero_point && a.clamp.min == b.clamp.min &&
         a.clamp.max == b.clamp.max;
}

bool CheckFormat(const PatchStageParams& p, int32_t patch_class, int32_t m, StageError* error) {
  const StageFormat& f = FormatOf(p, patch_class, m);
  if (!Require(IsBitWidth(f.bits), {"map", m, "bits must be 8, 4 or 2", f.bits}, error) ||
      !Require(FitsBits(f.zero_point, f.bits),
               {"map", m, "zero_point must fit the bits", f.zero_point}, error) ||
      !Require(ClampFits(f.clamp, f.bits),
               {"map", m, "clamp_min <= clamp_max must fit the bits", f.clamp.min}, error)) {
    return false;
  }
  if (m == 0 || m == p.header.num_maps - 1) {
    return Require(SameFormat(f, FormatOf(p, 0, m)),
                   {"map", m, "X and Y must have one format in all classes", patch_class}, error) &&
           Require(
               f.scratch_offset == -1 && f.scratch_bytes == 0,
               {"map", m, "X and Y must have scratch_offset -1, scratch_bytes 0", f.scratch_offset},
               error);
  }
  return Require(f.scratch_offset >= 0 && f.scratch_offset % kAlignment == 0,
                 {"map", m, "scratch_offset must be a multiple of 4", f.scratch_offset}, error) &&
         Require(f.scratch_bytes >= 0 && f.scratch_bytes <= kMaxBytes - f.scratch_offset,
                 {"map", m, "scratch_bytes must end below 2^31", f.scratch_bytes}, error);
}

// The words of an op's table; its channels' sums must fit int32.
bool CheckTable(const PatchStageParams& p, int32_t num_words, int32_t patch_class, int32_t i,
                StageError* error) {
  const StageOp& op = p.ops[i];
  const int32_t channels = p.maps[op.output].channels;
  const int32_t num_factors = op.kind == kStageAdd ? 3 : 1;
  const int64_t table_words = IsConvolution(op) ? int64_t{3} * channels : 2 * num_factors;
  const int32_t offset = p.table_offsets[patch_class * p.header.num_ops + i];
  if (!Require(offset >= 0 && offset + table_words <= num_words,
               {"op", i, "the table lies outside the tables section", offset}, error)) {
    return false;
  }
  const int32_t* table = p.tables + offset;
  if (IsConvolution(op)) {
    const int64_t taps = SaturatingProduct(op.window.kernel_height, op.window.kernel_width);
    const int32_t depth = op.kind == kStageConv2D ? p.maps[op.input0].channels : 1;
    const int32_t bad_channel =
        FindBadChannel(table, channels, SaturatingProduct(taps, depth),
                       FormatOf(p, patch_class, op.input0).bits, op.weight_bits);
    return Require(bad_channel < 0,
                   {"op", i,
                    "a channel's multiplier or shift is out of range, or its sum may "
                    "leave int32",
                    bad_channel},
                   error);
  }
  for (int32_t k = 0; k < num_factors; ++k) {
    if (!Require(FixedPointFits({table[2 * k], table[2 * k + 1]}),
                 {"op", i, "multiplier must be >= 0 and shift -31 to 30", table[2 * k + 1]},
                 error)) {
      return false;
    }
  }
  return true;
}

// The last op that reads a map, or the op that writes it if nobody does: op m - 1 writes map m.
int32_t LastOpOf(const PatchStageParams& p, int32_t map) {
  int32_t last = map - 1;
  for (int32_t i = map; i < p.header.num_ops; ++i) {
    if (p.ops[i].input0 == map || p.ops[i].input1 == map) last = i;
  }
  return last;
}

int32_t ScratchEnd(const StageFormat& format) {
  return format.scratch_offset + format.scratch_bytes;
}

// Of two maps n < m, n is written first: they are live together if n is still read when m is written.
bool CheckOverlaps(const PatchStageParams& p, int32_t patch_class, StageError* error) {
  for (int32_t n = 1; n < p.header.num_maps - 1; ++n) {
    const StageFormat& a = FormatOf(p, patch_class, n);
    const int32_t last_op = LastOpOf(p, n);
    for (int32_t m = n + 1; m < p.header.num_maps - 1 && m - 1 <= last_op; ++m) {
      const StageFormat& b = FormatOf(p, patch_class, m);
      const bool share_bytes =
          Max(a.scratch_offset, b.scratch_offset) < Min(ScratchEnd(a), ScratchEnd(b));
      if (!Require(!share_bytes,
                   {"map", m, "shares scratch bytes with a map that is live at the same time", n},
                   error)) {
        return false;
      }
    }
  }
  return true;
}

bool CheckClasses(const PatchStageParams& p, int32_t num_table_words, StageError* error) {
  for (int32_t k = 0; k < p.header.num_classes; ++k) {
    for (int32_t m = 0; m < p.header.num_maps; ++m) {
      if (!CheckFormat(p, k, m, error)) return false;
    }
    for (int32_t i = 0; i < p.header.num_ops; ++i) {
      if (!CheckTable(p, num_table_words, k, i, error)) return false;
    }
    if (!CheckOverlaps(p, k, error)) return false;
  }
  return true;
}

bool CheckTiles(const PatchStageParams& p, StageError* error) {
  Region regions[kMaxStageMaps];
  const int32_t num_tiles = NumTileRows(p) * NumTileColumns(p);
  for (int32_t t = 0; t < num_tiles; ++t) {
    const int32_t patch_class = p.patch_classes[t];
    if (!Require(InRange(patch_class, 0, p.header.num_classes - 1),
                 {"tile", t, "patch class must be below num_classes", patch_class}, error)) {
      return false;
    }
    ComputeRegions(p, t, regions);
    for (int32_t m = 1; m < p.header.num_maps - 1; ++m) {
      const StageFormat& format = FormatOf(p, patch_class, m);
      const int64_t bytes = int64_t{Length(regions[m].rows)} * Length(regions[m].columns) *
                            RunBytes(p.maps[m].channels, format.bits);
      if (!Require(bytes <= format.scratch_bytes,
                   {"tile", t, "needs more scratch_bytes than this map has", m}, error)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace

bool ReadPatchStageProgram(const PatchStageHeader& header, const int32_t* program,
                           int32_t num_words, const uint8_t* filters, int32_t num_filter_bytes,
                           PatchStageParams* params, StageError* error) {
  params->header = header;
  params->filters = filters;
  if (!CheckHeader(header, error) || !LayOut(program, num_words, params, error)) return false;
  const int32_t num_table_words = static_cast<int32_t>(program + num_words - params->tables);
  return CheckOps(*params, num_filter_bytes, error) &&
         CheckClasses(*params, num_table_words, error) && CheckTiles(*params, error);
}

}  // namespace quantmcu
