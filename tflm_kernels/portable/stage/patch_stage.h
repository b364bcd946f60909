// portable/stage/patch_stage.h - a region of a network run tile by tile: map 0 (X) in, the last map (Y)
// out, batch 1.
//
// For every tile of Y, in row-major order, each op computes just the region of its output that the
// tile needs and that was not kept from tiles before; regions and what is kept lie in scratch, X is
// read (or pulled from a reader, region by region) and Y is written in place. The tile's class
// chooses formats and tables. A stage may end in a reduction: then its input is cut into tiles, and
// sums of Y grow tile by tile. The result is what the same ops give on whole maps, in every byte.
// Layout   `program` and `filters` as docs/format.md F4 has them, used where they stand, in
//          flash; the structs below are laid over the program's words.
// Range    all of it is checked once, by ReadPatchStageProgram; PatchStage cannot fail after it.
// Memory   no allocation; scratch >= PatchStageScratchBytes(params, kernels), on a multiple of 4;
//          about 1.5 KB of stack; scratch, program and filters overlap nothing; program and filters
//          outlive the params. Y may overlap X where no byte of Y, up to the last row of a row of
//          tiles, lies behind the first byte of X that this row of tiles reads.
// Source   written from docs/format.md.
#ifndef TFLM_KERNELS_PORTABLE_STAGE_PATCH_STAGE_H_
#define TFLM_KERNELS_PORTABLE_STAGE_PATCH_STAGE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"
#include "tflm_kernels/portable/ops/kernels.h"

namespace quantmcu {

constexpr int32_t kMaxStageMaps = 64;  // keeps a tile's regions in 768 bytes of stack

enum StageOpKind : int32_t {
  kStageConv2D = 0,
  kStageDepthwiseConv2D = 1,
  kStageAdd = 2,
  kStageAveragePool2D = 3,
  kStageMaxPool2D = 4,
  kStageRequantize = 5,
  // Reductions, the last op if any: Y has one pixel.
  kStageMean = 6,
  kStageGlobalAveragePool2D = 7,
  kStageFullyConnected = 8,
  kStageLut = 9,
};

// What a map keeps between tiles.
enum StageCacheMode : int32_t {
  kCacheNone = 0,
  kCacheRows = 1,  // the columns that the next tile of the row reads again
  kCacheFull = 2,  // also the rows that the next row of tiles reads again
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

// The kept halo of all classes stands in scratch: the last `left_columns` of a tile, and the last
// `top_rows` of a row of tiles over the whole width.
struct StageMap {
  int32_t height;
  int32_t width;
  int32_t channels;
  int32_t cache_mode = 0;
  int32_t left_columns = 0;
  int32_t left_offset = 0;
  int32_t left_bytes = 0;
  int32_t top_rows = 0;
  int32_t top_offset = 0;
  int32_t top_bytes = 0;
};

struct StageFormat {
  int32_t bits;
  int32_t zero_point;
  Clamp clamp;
  int32_t scratch_offset;  // -1 for X, unless a reader gives it, and Y, unless sums of it are kept
  int32_t scratch_bytes;
};

// From the op's options (docs/format.md F3).
struct PatchStageHeader {
  int32_t tile_height;
  int32_t tile_width;
  int32_t num_ops;
  int32_t num_maps;
  int32_t num_classes;
  int32_t cache_mode = kCacheNone;  // StageCacheMode, the most that any map keeps
  int32_t primed = 0;  // 1: tiles before the first row and column bring cached maps on their way
  // Of tiles of class kChosenAtRunTime: values of X outside [outlier_low, outlier_high] are outliers,
  // and a tile with more than outlier_share / 2^16 of them has class 0, any other class 1.
  int32_t outlier_low = 0;
  int32_t outlier_high = 0;
  int32_t outlier_share = 0;
};

constexpr int32_t kChosenAtRunTime = -1;

struct PatchStageParams {
  PatchStageHeader header;
  const StageOp* ops;            // [num_ops]
  const StageMap* maps;          // [num_maps]
  const StageFormat* formats;    // [num_classes, num_maps]
  const int32_t* table_offsets;  // [num_classes, num_ops]
  const int32_t* patch_classes;  // [tile rows, tile columns]; kChosenAtRunTime: its values decide
  const int32_t* tables;
  const uint8_t* filters;
};

// A part of X that a tile asks for: all of rows [y, y + height) x columns [x, x + width), packed
// pixels, rows `row_bytes` apart.
struct InputRegion {
  int32_t y;
  int32_t x;
  int32_t height;
  int32_t width;
  int32_t row_bytes;
  uint8_t* pixels;
};

// Fills a region of the network's input from where it is: a camera's line buffer, external flash.
// Cannot fail.
using ReadInputFn = void(void* context, const InputRegion& region);

struct InputReader {
  ReadInputFn* read;
  void* context;
};

// X: whole in memory, or to be pulled from a reader.
struct StageInput {
  StageInput(const uint8_t* x) : map(x), reader{} {}  // NOLINT(runtime/explicit)
  StageInput(const InputReader& input_reader)         // NOLINT(runtime/explicit)
      : map(nullptr), reader(input_reader) {}

  const uint8_t* map;
  InputReader reader;
};

// Why a program was refused: "<item> <index>: <message> (found <found>)".
struct StageError {
  const char* item;
  int32_t index;
  const char* message;
  int32_t found;
};

// Lays `params` over a program after checking all of it, and that `kernels` has what its ops run
// on. On failure returns false, fills `error` and leaves `params` unusable. Work: one pass over the
// program and, for each tile, one over the ops.
bool ReadPatchStageProgram(const PatchStageHeader& header, const int32_t* program,
                           int32_t num_words, const uint8_t* filters, int32_t num_filter_bytes,
                           const Kernels& kernels, PatchStageParams* params, StageError* error);

// The params of a program that ReadPatchStageProgram has accepted with this header. Work: a few
// additions, so that nobody needs to keep them.
PatchStageParams ParamsOfPatchStage(const PatchStageHeader& header, const int32_t* program,
                                    const uint8_t* filters);

// The largest scratch_offset + scratch_bytes, 0 when the stage has no inner maps; behind it, on a
// multiple of 4, the most that one kernel needs for one tile, which is nothing with
// reference::kKernels. Work: one pass over the ops for each tile.
size_t PatchStageScratchBytes(const PatchStageParams& params, const Kernels& kernels);

// X must be a reader if IsStreamed(params), else a map.
void PatchStage(const PatchStageParams& params, const Kernels& kernels, const StageInput& x,
                uint8_t* scratch, uint8_t* y);

inline const StageFormat& FormatOf(const PatchStageParams& params, int32_t patch_class,
                                   int32_t map) {
  return params.formats[patch_class * params.header.num_maps + map];
}

// Whether X comes from a reader: then it has a place in scratch like inner maps.
inline bool IsStreamed(const PatchStageParams& params) {
  return FormatOf(params, 0, 0).scratch_offset >= 0;
}

inline bool IsReduction(const StageOp& op) {
  return kStageMean <= op.kind && op.kind <= kStageFullyConnected;
}

inline bool EndsInReduction(const PatchStageParams& params) {
  return IsReduction(params.ops[params.header.num_ops - 1]);
}

// The map that is cut into tiles: Y, or what a reduction makes Y of.
inline int32_t TiledMap(const PatchStageParams& params) {
  return params.header.num_maps - (EndsInReduction(params) ? 2 : 1);
}

inline const int32_t* TableOf(const PatchStageParams& params, int32_t patch_class, int32_t op) {
  return params.tables + params.table_offsets[patch_class * params.header.num_ops + op];
}

// The table of a lut: its entries are the bytes of the words, which are little-endian.
inline const uint8_t* EntriesOf(const int32_t* table) {
  return reinterpret_cast<const uint8_t*>(table);
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_PATCH_STAGE_H_
