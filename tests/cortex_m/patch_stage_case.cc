#include "tests/cortex_m/patch_stage_case.h"

#include <string.h>

#include "tests/cortex_m/random_values.h"
#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/portable/law/crc32.h"
#include "tflm_kernels/portable/stage/read_program.h"
#include "tflm_kernels/portable/stage/run.h"

namespace quantmcu {
namespace {

// One that keeps nothing between tiles.
constexpr StageMap Map(int32_t height, int32_t width, int32_t channels) {
  return {height, width, channels, kCacheNone, 0, 0, 0, 0, 0, 0};
}

constexpr StageMap kMaps[] = {Map(11, 13, 6), Map(11, 13, 10), Map(11, 13, 10), Map(11, 13, 10),
                              Map(5, 6, 10),  Map(7, 8, 10),   Map(7, 8, 7),    Map(7, 8, 7),
                              Map(7, 8, 7),   Map(4, 4, 14)};

// weight_bits and the filter's place are filled in later.
constexpr StageOp kOps[] = {
    {kStageConv2D, 0, -1, 1, {3, 3, 1, 1, 1, 1, 1, 1}, 0, 0, 0, 0},
    {kStageDepthwiseConv2D, 1, -1, 2, {3, 3, 1, 1, 1, 1, 1, 1}, 0, 1, 0, 0},
    {kStageAdd, 1, 2, 3, {1, 1, 1, 1, 1, 1, 0, 0}, 0, 0, 0, 0},
    {kStageMaxPool2D, 3, -1, 4, {2, 2, 2, 2, 1, 1, 0, 0}, 0, 0, 0, 0},
    {kStageRequantize, 4, -1, 5, {1, 1, 1, 1, 1, 1, 1, 1}, 0, 0, 0, 0},
    {kStageConv2D, 5, -1, 6, {1, 1, 1, 1, 1, 1, 0, 0}, 0, 0, 0, 0},
    {kStageAveragePool2D, 6, -1, 7, {3, 3, 1, 1, 1, 1, 1, 1}, 0, 0, 0, 0},
    {kStageLut, 7, -1, 8, {1, 1, 1, 1, 1, 1, 0, 0}, 0, 0, 0, 0},
    {kStageDepthwiseConv2D, 8, -1, 9, {3, 3, 2, 2, 1, 1, 1, 1}, 0, 2, 0, 0},
};

constexpr int32_t kNumMaps = sizeof(kMaps) / sizeof(kMaps[0]);
constexpr int32_t kNumOps = sizeof(kOps) / sizeof(kOps[0]);
constexpr int32_t kNumClasses = 2;
constexpr int32_t kNumTiles = 4;
constexpr PatchStageHeader kHeader = {2, 3, kNumOps, kNumMaps, kNumClasses, kCacheNone, 0, 0, 0, 0};

// docs/format.md F4, section by section.
struct Program {
  StageOp ops[kNumOps];
  StageMap maps[kNumMaps];
  StageFormat formats[kNumClasses][kNumMaps];
  int32_t table_offsets[kNumClasses][kNumOps];
  int32_t patch_classes[kNumTiles];
  int32_t tables[512];
};

Program program;
uint8_t filters[1024];
uint8_t x[1024];
alignas(4) uint8_t scratch[8192];
uint8_t y[256];

bool IsConvolution(const StageOp& op) {
  return op.kind == kStageConv2D || op.kind == kStageDepthwiseConv2D;
}

int32_t Aligned(int32_t bytes) { return (bytes + 3) / 4 * 4; }

void FillOps(int32_t weight_bits, RandomValues* random) {
  int32_t offset = 0;
  for (int32_t i = 0; i < kNumOps; ++i) {
    StageOp& op = program.ops[i] = kOps[i];
    if (!IsConvolution(op)) continue;
    const int32_t taps = op.window.kernel_height * op.window.kernel_width;
    const int32_t outputs = kMaps[op.output].channels;
    op.weight_bits = weight_bits;
    op.filter_offset = offset;
    op.filter_bytes = op.kind == kStageConv2D
                          ? random->FillRuns(outputs * taps, kMaps[op.input0].channels, weight_bits,
                                             filters + offset)
                          : random->FillRuns(taps, outputs, weight_bits, filters + offset);
    offset = Aligned(offset + op.filter_bytes);
  }
}

// Every map has room for all of it, though a tile needs only a part.
void FillFormats(int32_t activation_bits, RandomValues* random) {
  for (int32_t k = 0; k < kNumClasses; ++k) {
    int32_t offset = 0;
    for (int32_t m = 0; m < kNumMaps; ++m) {
      const bool is_inner = m > 0 && m < kNumMaps - 1;
      const int32_t bits = is_inner && k == 0 ? 8 : activation_bits;
      const int32_t bytes =
          is_inner ? kMaps[m].height * kMaps[m].width * RunBytes(kMaps[m].channels, bits) : 0;
      StageFormat& format = program.formats[k][m];
      format = {bits, random->ZeroPoint(bits), random->ClampOf(bits), is_inner ? offset : -1,
                bytes};
      if (!is_inner) format = program.formats[0][m];
      offset = Aligned(offset + bytes);
    }
  }
}

// Returns the words of the op's table.
int32_t FillOpTable(int32_t patch_class, const StageOp& op, RandomValues* random, int32_t* table) {
  const StageFormat* formats = program.formats[patch_class];
  const int32_t input_bits = formats[op.input0].bits;
  const int32_t output_bits = formats[op.output].bits;
  if (IsConvolution(op)) {
    const int32_t outputs = kMaps[op.output].channels;
    const int32_t depth = op.kind == kStageConv2D ? kMaps[op.input0].channels : 1;
    random->FillTable(outputs, op.window.kernel_height * op.window.kernel_width * depth, input_bits,
                      op.weight_bits, output_bits, table);
    return 3 * outputs;
  }
  if (op.kind == kStageLut) {
    const int32_t num_entries = NumLutEntries(input_bits);
    const Clamp& clamp = formats[op.output].clamp;
    auto* entries = reinterpret_cast<uint8_t*>(table);
    for (int32_t e = 0; e < num_entries; ++e) {
      entries[e] = static_cast<uint8_t>(random->Uniform(clamp.min, clamp.max));
    }
    return num_entries / 4;
  }
  if (op.kind != kStageAdd) {
    const FixedPoint factor = random->Factor(input_bits, output_bits);
    memcpy(table, &factor, sizeof(factor));
    return 2;
  }
  const FixedPoint factors[] = {random->Factor(input_bits, 8),
                                random->Factor(formats[op.input1].bits, 8),
                                random->Factor(28, output_bits)};
  memcpy(table, factors, sizeof(factors));
  return 6;
}

void FillProgram(int32_t activation_bits, int32_t weight_bits, RandomValues* random) {
  program = {};
  FillOps(weight_bits, random);
  memcpy(program.maps, kMaps, sizeof(kMaps));
  FillFormats(activation_bits, random);
  int32_t offset = 0;
  for (int32_t k = 0; k < kNumClasses; ++k) {
    for (int32_t i = 0; i < kNumOps; ++i) {
      program.table_offsets[k][i] = offset;
      offset += FillOpTable(k, program.ops[i], random, program.tables + offset);
    }
  }
  for (int32_t t = 0; t < kNumTiles; ++t) program.patch_classes[t] = t % 3 == 0 ? 0 : 1;
}

}  // namespace

bool RunPatchStage(int32_t activation_bits, int32_t weight_bits, uint32_t* crc) {
  RandomValues random(100 * activation_bits + weight_bits);
  FillProgram(activation_bits, weight_bits, &random);
  random.FillRuns(kMaps[0].height * kMaps[0].width, kMaps[0].channels, activation_bits, x);
  memset(scratch, 0xA5, sizeof(scratch));
  memset(y, 0xA5, sizeof(y));
  PatchStageParams params;
  StageError error;
  if (!ReadPatchStageProgram(kHeader, reinterpret_cast<const int32_t*>(&program),
                             sizeof(program) / sizeof(int32_t), filters, sizeof(filters),
                             kernels::kKernels, &params, &error)) {
    BoardWrite(error.item);
    ReportCount(" refused", static_cast<uint64_t>(error.index));
    BoardWrite(error.message);
    return false;
  }
  if (PatchStageScratchBytes(params, kernels::kKernels) > sizeof(scratch)) {
    BoardWrite("the stage needs more scratch than there is\n");
    return false;
  }
  PatchStage(params, kernels::kKernels, x, scratch, y);
  // Behind the maps stands what the core's kernels need for themselves.
  const size_t map_bytes = PatchStageScratchBytes(params, reference::kKernels);
  *crc = Crc32(y, sizeof(y), Crc32(scratch, static_cast<uint32_t>(map_bytes)));
  return true;
}

}  // namespace quantmcu
