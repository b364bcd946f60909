// MaxPool2D for MVE, at all widths: the largest of sixteen channels an instruction, and no
// multiplication between equal formats.
#include "tflm_kernels/cortex_m/mve/kernels.h"
#include "tflm_kernels/cortex_m/mve/pool2d.h"

namespace quantmcu {
namespace mve {
namespace {

template <int kBits>
void Run(const Pool2DParams& params, const uint8_t* input, uint8_t* output) {
  const Rescale rescale = MakeRescale(params.input, params.output, params.multiplier, params.clamp);
  ForEachPoolBlock(params, input, output, [&](const PoolTaps& taps, uint8_t* bytes, int32_t count) {
    int8x16_t largest = vdupq_n_s8(INT8_MIN);
    ForEachTap<kBits>(params.input, taps, count,
                      [&](int8x16_t values) { largest = vmaxq_s8(largest, values); });
    StoreBlock(bytes, params.output.bits, Rescaled(largest, rescale), count);
  });
}

}  // namespace

void MaxPool2D(const Pool2DParams& params, const uint8_t* input, uint8_t* output) {
  if (params.input.bits == 8) {
    Run<8>(params, input, output);
  } else if (params.input.bits == 4) {
    Run<4>(params, input, output);
  } else {
    Run<2>(params, input, output);
  }
}

}  // namespace mve
}  // namespace quantmcu
