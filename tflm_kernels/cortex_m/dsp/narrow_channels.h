// cortex_m/dsp/narrow_channels.h - all output channels of the pixels of a block whose inputs are widened
// (widen.h), weights of 4 or 2 bits.
//
// Source   written from docs/arithmetic.md A3.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_NARROW_CHANNELS_H_
#define TFLM_KERNELS_CORTEX_M_DSP_NARROW_CHANNELS_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/dot.h"
#include "tflm_kernels/cortex_m/dsp/operands.h"
#include "tflm_kernels/cortex_m/dsp/paired.h"
#include "tflm_kernels/cortex_m/dsp/scratch.h"
#include "tflm_kernels/cortex_m/dsp/store_pixels.h"
#include "tflm_kernels/cortex_m/dsp/store_quad.h"
#include "tflm_kernels/portable/ops/conv2d.h"

namespace quantmcu {
namespace dsp {

// Four pixels, a channel at a time.
template <int kABits, int kWBits>
void PairedChannels(const Conv2DParams& params, const Operands& all_operands,
                    const int32_t* column_sums, uint8_t* const* runs) {
  using P = PairedDots<kABits, kWBits>;
  PixelsStore store(params.output, params.clamp, runs);
  const int32_t offset = P::Offset(params.input.zero_point);
  const Operands operands = all_operands;
  const int32_t num_channels = params.output.channels;
  const int32_t filter_bytes = FilterBytes(params);
  const uint32_t* const columns = reinterpret_cast<const uint32_t*>(operands.scratch);
  int32_t starts[kPairedPixels];
  for (int p = 0; p < kPairedPixels; ++p) {
    const int32_t correction =
        -column_sums[p] * Widening<kWBits>::kWeightOffset - offset * P::NumChunks(filter_bytes);
    starts[p] = P::Start(correction, p);
  }
  const uint8_t* filter = operands.filter;
  const auto put = [&](const int32_t(&sums)[kPairedPixels], int32_t o) {
    const int32_t bias = operands.table.bias[o];
    store.Put({WrappingAdd(bias, sums[0]), WrappingAdd(bias, sums[1]), WrappingAdd(bias, sums[2]),
               WrappingAdd(bias, sums[3])},
              FactorOf(operands.table, o));
  };
  int32_t o = 0;
  for (; o + P::kChannels <= num_channels; o += P::kChannels) {
    int32_t sums[P::kChannels][kPairedPixels];
    P::Sum(filter, filter_bytes, columns, offset, starts, sums);
    filter += P::kChannels * filter_bytes;
    put(sums[0], o);
    if constexpr (P::kChannels == 2) put(sums[1], o + 1);
  }
  if (P::kChannels == 2 && o < num_channels) {
    int32_t sums[1][kPairedPixels];
    P::Sum(filter, filter_bytes, columns, offset, starts, sums);
    put(sums[0], o);
  }
  store.Finish();
}

// Two pixels, two channels at a time; activations of 8 bits.
template <int kWBits>
void WideChannels(const Conv2DParams& params, const Operands& all_operands,
                  const int32_t* column_sums, uint8_t* const* runs) {
  QuadStore store(params.output, params.clamp, runs[0], runs[1]);
  const Operands operands = all_operands;
  const int32_t last = params.output.channels - 1;
  const int32_t filter_bytes = FilterBytes(params);
  const uint32_t* const columns = reinterpret_cast<const uint32_t*>(operands.scratch);
  const int32_t corrections[2] = {-column_sums[0] * Widening<kWBits>::kWeightOffset,
                                  -column_sums[1] * Widening<kWBits>::kWeightOffset};
  const uint8_t* filter = operands.filter;
  for (int32_t o = 0; o < last; o += 2) {
    int32_t sums[2][2] = {{0, 0}, {0, 0}};
    Dots<kWBits, 2, 2>::Add(filter, filter_bytes, columns, sums);
    filter += 2 * filter_bytes;
    const int32_t* bias = operands.table.bias + o;
    store.Put({WrappingAdd(sums[0][0], WrappingAdd(bias[0], corrections[0])),
               WrappingAdd(sums[0][1], WrappingAdd(bias[0], corrections[1])),
               WrappingAdd(sums[1][0], WrappingAdd(bias[1], corrections[0])),
               WrappingAdd(sums[1][1], WrappingAdd(bias[1], corrections[1]))},
              FactorOf(operands.table, o), FactorOf(operands.table, o + 1));
  }
  if (last % 2 == 0) {
    int32_t sums[1][2] = {{0, 0}};
    Dots<kWBits, 1, 2>::Add(filter, filter_bytes, columns, sums);
    store.PutLast(WrappingAdd(sums[0][0], WrappingAdd(operands.table.bias[last], corrections[0])),
                  WrappingAdd(sums[0][1], WrappingAdd(operands.table.bias[last], corrections[1])),
                  FactorOf(operands.table, last));
  }
}

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_NARROW_CHANNELS_H_
