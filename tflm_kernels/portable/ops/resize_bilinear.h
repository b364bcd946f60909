// portable/ops/resize_bilinear.h - bilinear interpolation of an int8 map [H, W, C], batch 1.
//
// Positions and weights have 10 fraction bits; the sum of four products is rounded half away from 0 at 20.
// docs/arithmetic.md A26
// Layout   input [H,W,C]  output [Ho,Wo,C], dense.
// Range    extents up to 32767.
// Memory   no allocation, no scratch; input and output do not overlap.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_RESIZE_BILINEAR_H_
#define TFLM_KERNELS_PORTABLE_OPS_RESIZE_BILINEAR_H_

#include <stdint.h>

namespace quantmcu {

// Along one axis: output pixel i reads at position i * step + first, in 1024ths of a pixel.
struct ResizeAxis {
  int32_t input_size;
  int32_t output_size;
  int32_t step;
  int32_t first;
};

struct ResizeBilinearParams {
  ResizeAxis rows;
  ResizeAxis columns;
  int32_t channels;
};

using ResizeBilinearFn = void(const ResizeBilinearParams& params, const uint8_t* input,
                              uint8_t* output);

namespace reference {
ResizeBilinearFn ResizeBilinear;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_RESIZE_BILINEAR_H_
