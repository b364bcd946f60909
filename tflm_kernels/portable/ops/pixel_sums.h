// portable/ops/pixel_sums.h - sums over the pixels of a part of a map: what a reduction over a whole map
// is made of, piece by piece.
//
// SumPixels  sums[c] += sum(in[y, x, c])
// DotPixels  sums[o] += sum((in[y, x, c] - in_zero) * filter[o, row + y, column + x, c])
// Layout     input [H,W,I], a part of a map of `map_width` columns that begins at (row, column);
//            filter [O, run over all of the map's values]: format.md F2. I values of weight_bits
//            fill whole bytes. sums int32 [I] or [O].
// Range      limits.h; the whole map's sums fit int32.
// Memory     no allocation, no scratch; nothing overlaps.
// Source     written from docs/arithmetic.md A3, A5, A11.
#ifndef TFLM_KERNELS_PORTABLE_OPS_PIXEL_SUMS_H_
#define TFLM_KERNELS_PORTABLE_OPS_PIXEL_SUMS_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {

using SumPixelsFn = void(const FeatureMap& input, const uint8_t* pixels, int32_t* sums);

struct DotPixelsParams {
  FeatureMap input;
  int32_t row;
  int32_t column;
  int32_t map_height;
  int32_t map_width;
  int32_t num_outputs;
  int32_t weight_bits;
};

using DotPixelsFn = void(const DotPixelsParams& params, const uint8_t* pixels,
                         const uint8_t* filter, int32_t* sums);

namespace reference {
SumPixelsFn SumPixels;
DotPixelsFn DotPixels;
}  // namespace reference

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_OPS_PIXEL_SUMS_H_
