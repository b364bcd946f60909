// portable/stage/input_reader.h - who gives a streamed input: a function that fills regions of it.
//
// Source   written from docs/format.md F4, "Streamed input".
#ifndef TFLM_KERNELS_PORTABLE_STAGE_INPUT_READER_H_
#define TFLM_KERNELS_PORTABLE_STAGE_INPUT_READER_H_

#include <stdint.h>

namespace quantmcu {

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
// Returns false if it cannot: then the inference ends at once, and its outputs mean nothing.
using ReadInputFn = bool(void* context, const InputRegion& region);

struct InputReader {
  ReadInputFn* read;
  void* context;
};

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_INPUT_READER_H_
