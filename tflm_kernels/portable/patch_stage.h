// portable/patch_stage.h - a region of a network run tile by tile: map 0 (X) in, the last map (Y)
// out, batch 1.
//
// For every tile of Y, in row-major order, each op computes just the region of its output that the
// tile needs; regions lie in scratch, X is read and Y is written in place. The tile's class chooses
// formats and tables. The result is what the same ops give on whole maps, in every byte.
// Layout   `program` and `filters` as docs/format.md F4 has them, used where they stand, in
//          flash; the structs below are laid over the program's words.
// Range    all of it is checked once, by ReadPatchStageProgram; PatchStage cannot fail after it.
// Memory   no allocation; scratch >= PatchStageScratchBytes(params, kernels), on a multiple of 4;
//          about 1 KB of stack; X, Y, scratch, program and filters do not overlap; program and
//          filters outlive the params.
// Source   written from docs/format.md.
#ifndef TFLM_KERNELS_PORTABLE_PATCH_STAGE_H_
#define TFLM_KERNELS_PORTABLE_PATCH_STAGE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/portable/feature_map.h"
#include "tflm_kernels/portable/fixed_point.h"
#include "tflm_kernels/portable/kernels.h"

namespace quantmcu {

constexpr int32_t kMaxStageMaps = 64;  // keeps a tile's regions in 512 bytes of stack

enum StageOpKind : int32_t {
  kStageConv2D = 0,
  kStageDepthwiseConv2D = 1,
  kStageAdd = 2,
  kStageAveragePool2D = 3,
  kStageMaxPool2D = 4,
  kStageRequantize = 5,
};

struct StageOp {
  int32_t kind;
  int32_t input0;
  int32_t input1;  // -1 but for add
  int32_t output;
  Window window;
  int32_t weight_bits;
  int32_t depth_multiplier;
  int32_t filter_offset;
  int32_t filter_bytes;
};

struct StageMap {
  int32_t height;
  int32_t width;
  int32_t channels;
};

struct StageFormat {
  int32_t bits;
  int32_t zero_point;
  Clamp clamp;
  int32_t scratch_offset;  // -1 for X and Y
  int32_t scratch_bytes;
};

// From the op's options (docs/format.md F3).
struct PatchStageHeader {
  int32_t tile_height;
  int32_t tile_width;
  int32_t num_ops;
  int32_t num_maps;
  int32_t num_classes;
};

struct PatchStageParams {
  PatchStageHeader header;
  const StageOp* ops;            // [num_ops]
  const StageMap* maps;          // [num_maps]
  const StageFormat* formats;    // [num_classes, num_maps]
  const int32_t* table_offsets;  // [num_classes, num_ops]
  const int32_t* patch_classes;  // [tile rows, tile columns]
  const int32_t* tables;
  const uint8_t* filters;
};

// Why a program was refused: "<item> <index>: <message> (found <found>)".
struct StageError {
  const char* item;
  int32_t index;
  const char* message;
  int32_t found;
};

// Lays `params` over a program after checking all of it. On failure returns false, fills `error`
// and leaves `params` unusable. Work: one pass over the program and, for each tile, one over the
// ops.
bool ReadPatchStageProgram(const PatchStageHeader& header, const int32_t* program,
                           int32_t num_words, const uint8_t* filters, int32_t num_filter_bytes,
                           PatchStageParams* params, StageError* error);

// The largest scratch_offset + scratch_bytes, 0 when the stage has no inner maps; behind it, on a
// multiple of 4, the most that one kernel needs for one tile, which is nothing with
// reference::kKernels. Work: one pass over the ops for each tile.
size_t PatchStageScratchBytes(const PatchStageParams& params, const Kernels& kernels);

void PatchStage(const PatchStageParams& params, const Kernels& kernels, const uint8_t* x,
                uint8_t* scratch, uint8_t* y);

inline const StageFormat& FormatOf(const PatchStageParams& params, int32_t patch_class,
                                   int32_t map) {
  return params.formats[patch_class * params.header.num_maps + map];
}

inline const int32_t* TableOf(const PatchStageParams& params, int32_t patch_class, int32_t op) {
  return params.tables + params.table_offsets[patch_class * params.header.num_ops + op];
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_PATCH_STAGE_H_
