// Builds patch stages: random graphs, their programs (docs/format.md F4) and, by naive.h on whole
// maps, their results.
#ifndef TESTS_KERNELS_STAGE_BUILDER_H_
#define TESTS_KERNELS_STAGE_BUILDER_H_

#include <cstdint>
#include <vector>

#include "tests/kernels/naive.h"
#include "tflm_kernels/portable/stage/program.h"

namespace quantmcu {

struct Stage {
  PatchStageHeader header;
  std::vector<StageOp> ops;
  std::vector<StageMap> maps;
  std::vector<naive::Filter> filters;                     // [op], empty for ops without one
  std::vector<std::vector<StageFormat>> formats;          // [class][map]
  std::vector<std::vector<std::vector<int32_t>>> tables;  // [class][op]
  std::vector<int32_t> patch_classes;                     // [tile]

  int32_t NumTileColumns() const;
  int32_t NumTileRows() const;

  // A map of X's shape with random values.
  naive::Map RandomX(naive::Random* random) const;

  // What Y must be: each tile as its class gives it on whole maps.
  naive::Map ExpectedY(const naive::Map& x) const;
};

// What QMCU_PATCH_STAGE gets: its options and two of its tensors.
struct StageProgram {
  PatchStageHeader header;
  std::vector<int32_t> words;
  std::vector<uint8_t> filters;
};

// A stage of one tile. Maps have `bits`, or each its own if that is 0.
Stage RandomStage(int32_t num_ops, int32_t num_classes, int32_t bits, naive::Random* random);

// Cuts Y into tiles of random classes and gives every map its place in scratch.
void CutIntoTiles(int32_t tile_height, int32_t tile_width, Stage* stage, naive::Random* random);

StageProgram Assemble(const Stage& stage);

}  // namespace quantmcu

#endif  // TESTS_KERNELS_STAGE_BUILDER_H_
