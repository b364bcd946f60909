// Instructions that a patch stage takes beside its kernels: regions, views, halos, reductions' ends.
//
// Runs the stages of stages.txt with kernels that do nothing, all tiles of one class, and prints a
// line a stage, which tflm_quantmcu/cost/bench.py reads:
//   STAGE=instructions
#include <stdint.h>

#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/measure.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/portable/stage/run.h"

namespace quantmcu {
namespace {

// Behind the number of its words each stage.
constexpr int32_t kStages[] = {
#include "tflm_kernels/benchmarks/stages.inc"
};
constexpr int32_t kNumWords = sizeof(kStages) / sizeof(kStages[0]);

constexpr int32_t kScratchBytes = 1 << 20;
constexpr int32_t kMapBytes = 3 << 19;
constexpr int32_t kMaxTiles = 1 << 14;
constexpr int32_t kTableWords = 1 << 14;

BOARD_ARENA uint8_t g_x[kMapBytes];
BOARD_ARENA uint8_t g_y[kMapBytes];
BOARD_ARENA uint8_t g_scratch[kScratchBytes];
BOARD_ARENA int32_t g_classes[kMaxTiles];  // one class
BOARD_ARENA int32_t g_tables[kTableWords];
constexpr int32_t kTableOffsets[kMaxStageMaps] = {};

template <typename... Arguments>
[[gnu::noipa]] void Nothing(Arguments...) {
  asm volatile("");
}

template <typename Params>
[[gnu::noipa]] size_t NoScratch(const Params&) {
  return 0;
}

constexpr Kernels kNoKernels = {Nothing, NoScratch, Nothing, NoScratch, Nothing, Nothing,
                                Nothing, Nothing,   Nothing, Nothing,   Nothing, Nothing,
                                Nothing, Nothing,   Nothing, Nothing,   Nothing, reference::RareOp};

PatchStageParams ParamsOf(const int32_t* words) {
  PatchStageParams params = {};
  params.header = *reinterpret_cast<const PatchStageHeader*>(words);
  params.ops = reinterpret_cast<const StageOp*>(words + sizeof(PatchStageHeader) / 4);
  params.maps = reinterpret_cast<const StageMap*>(params.ops + params.header.num_ops);
  params.formats = reinterpret_cast<const StageFormat*>(params.maps + params.header.num_maps);
  params.table_offsets = kTableOffsets;
  params.patch_classes = g_classes;
  params.tables = g_tables;
  return params;
}

void Run(const void* params) {
  PatchStage(*static_cast<const PatchStageParams*>(params), kNoKernels, StageInput(g_x), g_scratch,
             g_y);
}

void Clear(int32_t* words, int32_t count) {
  for (int32_t i = 0; i < count; ++i) words[i] = 0;
}

}  // namespace
}  // namespace quantmcu

int main() {
  using namespace quantmcu;
  Clear(g_classes, kMaxTiles);
  Clear(g_tables, kTableWords);
  for (int32_t at = 0; at < kNumWords; at += 1 + kStages[at]) {
    const PatchStageParams params = ParamsOf(kStages + at + 1);
    ReportCount("STAGE", MeasureInstructions(Run, &params));
  }
  return 0;
}
