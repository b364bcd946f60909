// portable/stage/read_program.h - lays the structs of program.h over the words of a patch stage.
//
// Memory   no allocation; program and filters outlive the params.
// Source   written from docs/format.md F4.
#ifndef TFLM_KERNELS_PORTABLE_STAGE_READ_PROGRAM_H_
#define TFLM_KERNELS_PORTABLE_STAGE_READ_PROGRAM_H_

#include <stdint.h>

#include "tflm_kernels/portable/ops/kernels.h"
#include "tflm_kernels/portable/stage/program.h"

namespace quantmcu {

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

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_READ_PROGRAM_H_
