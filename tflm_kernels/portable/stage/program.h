// portable/stage/program.h - a patch stage as data: the structs that are laid over a program's words,
// and what is read off them.
//
// Layout   docs/format.md F4. `program` and `filters` are used where they stand, in flash.
// Range    all of it is checked once, by read_program.h.
// Source   written from docs/format.md.
#ifndef TFLM_KERNELS_PORTABLE_STAGE_PROGRAM_H_
#define TFLM_KERNELS_PORTABLE_STAGE_PROGRAM_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"
#include "tflm_kernels/portable/ops/gather_channels.h"

namespace quantmcu {

constexpr int32_t kMaxStageMaps = 64;  // keeps a tile's regions in 768 bytes of stack
constexpr int32_t kMaxStageInputs = 8;

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
  kStageChannelLut = 10,  // a table a channel
  kStageGatherChannels = 11,
  kStageResizeNearest = 12,   // its strides are the factors
  kStageDepthToSpace = 13,    // its strides are the block
  kStageResizeBilinear = 14,  // as 12; its window holds what is mixed, depth_multiplier is its mode
  kStageMul = 15,             // of two maps, or of a map and a gate
  kStageSub = 16,
};

// What a map keeps between tiles.
enum StageCacheMode : int32_t {
  kCacheNone = 0,
  kCacheRows = 1,  // the columns that the next tile of the row reads again
  kCacheFull = 2,  // also the rows that the next row of tiles reads again
  // The same, and its op runs ahead: what it reads is kept no longer than for ops behind it.
  kCacheAhead = 3,
};

struct StageOp {
  int32_t kind;
  int32_t input0;
  int32_t input1;  // -1 but for add, mul, sub and gather_channels
  int32_t output;
  Window window;             // of gather_channels further inputs: read it with WindowOf and InputOf
  int32_t weight_bits;       // with the filter's layout id above the low 8 bits, which is 0
  int32_t depth_multiplier;  // of gather_channels the number of runs
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
  int32_t
      scratch_offset;  // -1 for inputs, unless a reader gives X, and Y, unless sums of it are kept
  int32_t scratch_bytes;
};

// Along which axes tiles before the first one bring cached maps on their way.
enum StagePriming : int32_t { kNotPrimed = 0, kPrimed = 1, kRowsPrimed = 2 };

// From the op's options (docs/format.md F3).
struct PatchStageHeader {
  int32_t tile_height;
  int32_t tile_width;
  int32_t num_ops;
  int32_t num_maps;
  int32_t num_classes;
  int32_t cache_mode = kCacheNone;  // StageCacheMode, the most that any map keeps
  int32_t primed = kNotPrimed;      // StagePriming
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

inline const StageFormat& FormatOf(const PatchStageParams& params, int32_t patch_class,
                                   int32_t map) {
  return params.formats[patch_class * params.header.num_maps + map];
}

// Maps 0 (X) to n - 1: op i writes map n + i.
inline int32_t NumStageInputs(const PatchStageHeader& header) {
  return header.num_maps - header.num_ops;
}

// Whether X comes from a reader: then it has a place in scratch like inner maps.
inline bool IsStreamed(const PatchStageParams& params) {
  return FormatOf(params, 0, 0).scratch_offset >= 0;
}

// Whether the map is an input that stands whole in memory.
inline bool IsResident(const PatchStageParams& params, int32_t map) {
  return map < NumStageInputs(params.header) && (map > 0 || !IsStreamed(params));
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

// All but the reduction.
inline int32_t NumTiledOps(const PatchStageParams& params) {
  return params.header.num_ops - (EndsInReduction(params) ? 1 : 0);
}

// Whether the op makes its map larger, by its strides.
inline bool Upsamples(const StageOp& op) {
  return kStageResizeNearest <= op.kind && op.kind <= kStageResizeBilinear;
}

inline constexpr Window kOnePixel = {1, 1, 1, 1, 1, 1, 0, 0};

// How the op slides over its inputs.
inline const Window& WindowOf(const StageOp& op) {
  return op.kind == kStageGatherChannels ? kOnePixel : op.window;
}

// The map that is input j < kMaxGatherInputs, of gather_channels alone beyond 1; -1 if there is none.
inline int32_t InputOf(const StageOp& op, int32_t j) {
  switch (j) {
    case 0:
      return op.input0;
    case 1:
      return op.input1;
    case 2:
      return op.window.kernel_height;
    case 3:
      return op.window.kernel_width;
    case 4:
      return op.window.stride_height;
    case 5:
      return op.window.stride_width;
    case 6:
      return op.window.dilation_height;
    default:
      return op.window.dilation_width;
  }
}

inline int32_t NumInputs(const StageOp& op) {
  if (op.kind != kStageGatherChannels) return op.input1 < 0 ? 1 : 2;
  int32_t count = 1;
  while (count < kMaxGatherInputs && InputOf(op, count) >= 0) ++count;
  return count;
}

inline bool Reads(const StageOp& op, int32_t map) {
  for (int32_t j = 0; j < NumInputs(op); ++j) {
    if (InputOf(op, j) == map) return true;
  }
  return false;
}

inline const int32_t* TableOf(const PatchStageParams& params, int32_t patch_class, int32_t op) {
  return params.tables + params.table_offsets[patch_class * params.header.num_ops + op];
}

// Whether each value of its output is made of the values at the same place of two maps.
inline bool CombinesTwo(const StageOp& op) {
  return op.kind == kStageAdd || op.kind == kStageMul || op.kind == kStageSub;
}

// Whether the op multiplies each pixel of a map by the values of input1, whose one pixel is a factor a channel: a gate
// has no part that a tile needs, all of it is read.
inline bool IsGated(const PatchStageParams& params, const StageOp& op) {
  if (op.kind != kStageMul) return false;
  const StageMap& gate = params.maps[op.input1];
  const StageMap& output = params.maps[op.output];
  return gate.height == 1 && gate.width == 1 && (output.height > 1 || output.width > 1);
}

inline bool IsLut(const StageOp& op) { return op.kind == kStageLut || op.kind == kStageChannelLut; }

// The runs of gather_channels stand behind the multipliers of its inputs.
inline const ChannelRun* RunsOf(const StageOp& op, const int32_t* table) {
  return reinterpret_cast<const ChannelRun*>(table + 2 * NumInputs(op));
}

// The table of a lut: its entries are the bytes of the words, which are little-endian.
inline const uint8_t* EntriesOf(const int32_t* table) {
  return reinterpret_cast<const uint8_t*>(table);
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_PROGRAM_H_
