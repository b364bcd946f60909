// micro/input_reader.h - where a model whose input is streamed gets its pixels from.
//
// Such a model has no input tensor: its first patch stage asks for one region of the image after the
// other, tiles in row-major order (docs/format.md F4, "Streamed input"). One reader serves all.
#ifndef TFLM_KERNELS_MICRO_INPUT_READER_H_
#define TFLM_KERNELS_MICRO_INPUT_READER_H_

#include "tflm_kernels/portable/stage/input_reader.h"

namespace quantmcu {

// Before AllocateTensors, and again whenever the reader changes. `reader.context` is handed to
// `reader.read` with every region; both must stay valid while the model runs.
void SetInputReader(const InputReader& reader);

const InputReader& GetInputReader();

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_INPUT_READER_H_
