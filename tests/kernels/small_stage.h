// Patch stages of an op or two as tests write them down: made, run by the reference kernels, refused.
#ifndef TESTS_KERNELS_SMALL_STAGE_H_
#define TESTS_KERNELS_SMALL_STAGE_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/kernels/stage_builder.h"
#include "tflm_kernels/portable/stage/read_program.h"
#include "tflm_kernels/portable/stage/run.h"

namespace quantmcu {

// One op from X to Y at 8 bits that keeps values as they are, in tiles of one class.
inline Stage StageOfOneOp(int32_t tile_height, int32_t tile_width, const StageOp& op,
                          const StageMap& x, const StageMap& y) {
  const StageFormat in_place = {8, 0, {-128, 127}, -1, 0};
  Stage stage;
  stage.header = {tile_height, tile_width, 1, 2, 1};
  stage.ops = {op};
  stage.maps = {x, y};
  stage.filters = {{8, 1, {}}};
  stage.formats = {{in_place, in_place}};
  stage.tables = {{{1 << 30, 1}}};
  stage.patch_classes.resize(stage.NumTileRows() * stage.NumTileColumns());
  return stage;
}

// What the reader says against a program; "" where it takes it.
inline std::string Refusal(const StageProgram& program, PatchStageParams* params) {
  StageError error = {"", 0, "", 0};
  ReadPatchStageProgram(program.header, program.words.data(),
                        static_cast<int32_t>(program.words.size()), program.filters.data(),
                        static_cast<int32_t>(program.filters.size()), reference::kKernels, params,
                        &error);
  return error.message;
}

inline std::vector<uint8_t> RunStage(const Stage& stage, const std::vector<uint8_t>& x,
                                     size_t num_bytes) {
  const StageProgram program = Assemble(stage);
  PatchStageParams params;
  std::vector<uint8_t> y(num_bytes, 0xFF);
  const std::string refusal = Refusal(program, &params);
  EXPECT_EQ(refusal, "");
  if (!refusal.empty()) return y;
  std::vector<uint8_t> scratch(PatchStageScratchBytes(params, reference::kKernels));
  PatchStage(params, reference::kKernels, x.data(), scratch.data(), y.data());
  return y;
}

// A word of a stage's program that is changed, and what the reader then says.
struct Corruption {
  size_t position;
  int32_t value;
  const char* message;
};

inline void ExpectRefusals(const Stage& stage, const std::vector<Corruption>& corruptions) {
  for (const auto& [position, value, message] : corruptions) {
    StageProgram program = Assemble(stage);
    program.words[position] = value;
    PatchStageParams params;
    EXPECT_EQ(Refusal(program, &params), message) << "word " << position;
  }
}

}  // namespace quantmcu

#endif  // TESTS_KERNELS_SMALL_STAGE_H_
