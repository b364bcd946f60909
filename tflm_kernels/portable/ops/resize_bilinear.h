// portable/ops/resize_bilinear.h - bilinear interpolation of a packed feature map, or of a part of one.
//
// Positions and weights have 10 fraction bits; the sum of four products is rounded half away from 0 at 20, then A7.
// docs/arithmetic.md A26
// Layout   input [H,W,C]  output [Ho,Wo,C]; runs: format.md F2.
// Range    limits.h; steps up to 2^16; all that is read lies inside the input.
// Memory   no allocation, no scratch; input and output do not overlap.
// Source   written from docs/arithmetic.md.
#ifndef TFLM_KERNELS_PORTABLE_OPS_RESIZE_BILINEAR_H_
#define TFLM_KERNELS_PORTABLE_OPS_RESIZE_BILINEAR_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

// Along one axis: pixel i of the output reads at position i * step + first, in 1024ths of a pixel of a map of `size`
// pixels, of which the input is the part from pixel `begin` on.
struct ResizeAxis {
  int32_t step;
  int32_t first;
  int32_t size;
  int32_t begin;
};

// The two pixels that are mixed, and how much of the upper one there is in 1024ths.
struct Neighbours {
  int32_t lower;
  int32_t upper;
  int32_t share;
};

constexpr int32_t kOnePixel1024 = 1 << 10;

// Of a position in a map of `size` pixels.
inline Neighbours NeighboursAt(int32_t position, int32_t size) {
  const int32_t lower = position / kOnePixel1024;
  const int32_t upper = (position + kOnePixel1024 - 1) / kOnePixel1024;
  Neighbours found = {lower < 0 ? 0 : lower, upper > size - 1 ? size - 1 : upper, 0};
  found.share = position - kOnePixel1024 * found.lower;
  return found;
}

// How `size` pixels become `wanted`: pixel i is at i * step + first.
struct ResizeSteps {
  int32_t step;
  int32_t first;
};

constexpr int32_t kHalfPixelCentres = 1;  // bits of a mode
constexpr int32_t kAlignedCorners = 2;

inline ResizeSteps ResizeStepsOf(int32_t size, int32_t wanted, int32_t mode) {
  const bool is_aligned = (mode & kAlignedCorners) != 0 && wanted > 1;
  const int32_t step = is_aligned ? (kOnePixel1024 * (size - 1) + (wanted - 1) / 2) / (wanted - 1)
                                  : (kOnePixel1024 * size + wanted / 2) / wanted;
  return {step, (mode & kHalfPixelCentres) != 0 ? step / 2 - kOnePixel1024 / 2 : 0};
}

struct ResizeBilinearParams {
  FeatureMap input;
  FeatureMap output;
  ResizeAxis rows;
  ResizeAxis columns;
  Clamp clamp;
  FixedPoint multiplier;
};

using ResizeBilinearFn = void(const ResizeBilinearParams& params, const uint8_t* input,
                              uint8_t* output);

namespace reference {
ResizeBilinearFn ResizeBilinear;
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_RESIZE_BILINEAR_H_
