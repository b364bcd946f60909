#include "tflm_kernels/portable/stage/check_classes.h"

#include "tflm_kernels/portable/stage/checks.h"

namespace quantmcu {
namespace {

bool SameFormat(const StageFormat& a, const StageFormat& b) {
  return a.bits == b.bits && a.zero_point == b.zero_point && a.clamp.min == b.clamp.min &&
         a.clamp.max == b.clamp.max;
}

// Inputs and Y, what a reduction reads, and maps whose halo tiles of all classes share.
bool HasOneFormat(const PatchStageParams& p, int32_t m) {
  const StageMap& map = p.maps[m];
  return m < NumStageInputs(p.header) || m >= TiledMap(p) || map.left_columns > 0 ||
         map.top_rows > 0;
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
  const StageFormat& first = FormatOf(p, 0, m);
  if (HasOneFormat(p, m) &&
      !Require(SameFormat(f, first), {"map", m, "must have one format in all classes", patch_class},
               error)) {
    return false;
  }
  const bool is_y = m == p.header.num_maps - 1;
  if (is_y && EndsInReduction(p)) {
    const int64_t sum_bytes = int64_t{4} * p.maps[m].channels;
    if (!Require(f.scratch_offset == first.scratch_offset && f.scratch_bytes == sum_bytes,
                 {"map", m, "must have one place for its int32 sums", f.scratch_bytes}, error)) {
      return false;
    }
  } else if (is_y || IsResident(p, m)) {
    return Require(f.scratch_offset == -1 && f.scratch_bytes == 0,
                   {"map", m, "inputs and Y in memory must have scratch_offset -1, scratch_bytes 0",
                    f.scratch_offset},
                   error);
  }
  return Require(f.scratch_offset >= 0 && f.scratch_offset % kAlignment == 0,
                 {"map", m, "scratch_offset must be a multiple of 4", f.scratch_offset}, error) &&
         Require(f.scratch_bytes >= 0 && f.scratch_bytes <= kMaxBytes - f.scratch_offset,
                 {"map", m, "scratch_bytes must end below 2^31", f.scratch_bytes}, error);
}

// Of one output of an op with a filter.
int64_t NumProducts(const PatchStageParams& p, const StageOp& op) {
  const int64_t taps = NumTaps(p, op);
  return op.kind == kStageDepthwiseConv2D ? taps
                                          : SaturatingProduct(taps, p.maps[op.input0].channels);
}

int32_t NumFactors(const StageOp& op) {
  if (op.kind == kStageGatherChannels) return NumInputs(op);
  return op.kind == kStageAdd || op.kind == kStageSub ? 3 : 1;
}

// Of all tables of a lut.
int64_t NumEntries(const PatchStageParams& p, int32_t patch_class, const StageOp& op) {
  const int32_t num_tables = op.kind == kStageChannelLut ? p.maps[op.input0].channels : 1;
  return SaturatingProduct(num_tables, NumLutEntries(FormatOf(p, patch_class, op.input0).bits));
}

int64_t TableWords(const PatchStageParams& p, int32_t patch_class, const StageOp& op) {
  if (HasFilter(op)) return int64_t{3} * p.maps[op.output].channels;
  if (IsLut(op)) return NumEntries(p, patch_class, op) / 4;
  const int32_t num_runs = op.kind == kStageGatherChannels ? op.depth_multiplier : 0;
  return 2 * (int64_t{NumFactors(op)} + num_runs);
}

bool CheckChannels(const PatchStageParams& p, const int32_t* table, int32_t patch_class, int32_t i,
                   StageError* error) {
  const StageOp& op = p.ops[i];
  const int32_t channels = p.maps[op.output].channels;
  const int32_t bad_channel =
      FindBadChannel(ChannelTableOf(table, channels), channels, NumProducts(p, op),
                     FormatOf(p, patch_class, op.input0).bits, op.weight_bits);
  return Require(bad_channel < 0,
                 {"op", i,
                  "a channel's multiplier or shift is out of range, or its sum may "
                  "leave int32",
                  bad_channel},
                 error);
}

bool CheckEntries(const PatchStageParams& p, const int32_t* table, int32_t patch_class, int32_t i,
                  StageError* error) {
  const StageOp& op = p.ops[i];
  const int32_t bad_entry =
      FindBadEntry(EntriesOf(table), static_cast<int32_t>(NumEntries(p, patch_class, op)),
                   FormatOf(p, patch_class, op.output).clamp);
  return Require(bad_entry < 0, {"op", i, "an entry of the lut is outside the clamps", bad_entry},
                 error);
}

bool CheckFactors(const StageOp& op, const int32_t* table, int32_t i, StageError* error) {
  for (int32_t k = 0; k < NumFactors(op); ++k) {
    if (!Require(FixedPointFits({table[2 * k], table[2 * k + 1]}),
                 {"op", i, "multiplier must be >= 0 and shift -31 to 30", table[2 * k + 1]},
                 error)) {
      return false;
    }
  }
  return true;
}

// Whether a run lies inside one of the op's inputs.
bool IsInsideInput(const PatchStageParams& p, const StageOp& op, const ChannelRun& run) {
  if (run.first < 0 || run.count < 1) return false;
  int64_t first = run.first;
  for (int32_t j = 0; j < NumInputs(op); ++j) {
    const int32_t channels = p.maps[InputOf(op, j)].channels;
    if (first < channels) return first + run.count <= channels;
    first -= channels;
  }
  return false;
}

bool CheckRuns(const PatchStageParams& p, const int32_t* table, int32_t i, StageError* error) {
  const StageOp& op = p.ops[i];
  if (op.kind != kStageGatherChannels) return true;
  const ChannelRun* runs = RunsOf(op, table);
  int64_t channels = 0;
  for (int32_t r = 0; r < op.depth_multiplier; ++r) {
    if (!Require(IsInsideInput(p, op, runs[r]),
                 {"op", i, "a run of channels must lie inside one input", runs[r].first}, error)) {
      return false;
    }
    channels += runs[r].count;
  }
  return Require(channels == p.maps[op.output].channels,
                 {"op", i, "the runs must make the output's channels", op.depth_multiplier}, error);
}

// The words of an op's table.
bool CheckTable(const PatchStageParams& p, int32_t num_words, int32_t patch_class, int32_t i,
                StageError* error) {
  const StageOp& op = p.ops[i];
  const int32_t offset = p.table_offsets[patch_class * p.header.num_ops + i];
  if (!Require(offset >= 0 && offset + TableWords(p, patch_class, op) <= num_words,
               {"op", i, "the table lies outside the tables section", offset}, error)) {
    return false;
  }
  const int32_t* table = p.tables + offset;
  if (IsReduction(op) &&
      !Require(offset == p.table_offsets[i],
               {"op", i, "a reduction must have one table in all classes", offset}, error)) {
    return false;
  }
  if (HasFilter(op)) return CheckChannels(p, table, patch_class, i, error);
  if (IsLut(op)) return CheckEntries(p, table, patch_class, i, error);
  return CheckFactors(op, table, i, error) && CheckRuns(p, table, i, error);
}

}  // namespace

bool CheckClasses(const PatchStageParams& p, int32_t num_table_words, StageError* error) {
  for (int32_t k = 0; k < p.header.num_classes; ++k) {
    for (int32_t m = 0; m < p.header.num_maps; ++m) {
      if (!CheckFormat(p, k, m, error)) return false;
    }
    for (int32_t i = 0; i < p.header.num_ops; ++i) {
      if (!CheckTable(p, num_table_words, k, i, error)) return false;
    }
  }
  return true;
}

}  // namespace quantmcu
