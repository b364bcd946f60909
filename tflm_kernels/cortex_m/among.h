// cortex_m/among.h - kernels of quantmcu::kernels for several widths that are known when compiled, as a call's params
// choose among them: no other is linked. kWidths are 10 * input bits + weight bits: Conv2DAmong<88, 84>; of Add the
// bits of all maps, or 0.
#ifndef TFLM_KERNELS_CORTEX_M_AMONG_H_
#define TFLM_KERNELS_CORTEX_M_AMONG_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/kernels.h"
#include "tflm_kernels/portable/ops/widths.h"

namespace quantmcu {

template <typename Params>
inline int32_t WidthsOf(const Params& params) {
  return 10 * params.input.bits + params.weight_bits;
}

template <int... kWidths>
void Conv2DAmong(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
                 const ChannelTable& table, uint8_t* output, uint8_t* scratch) {
  ((kWidths == WidthsOf(params) ? kernels::Conv2DOf<kWidths / 10, kWidths % 10>(
                                      params, input, filter, table, output, scratch)
                                : void()),
   ...);
}

template <int... kWidths>
void DepthwiseConv2DAmong(const DepthwiseConv2DParams& params, const uint8_t* input,
                          const uint8_t* filter, const ChannelTable& table, uint8_t* output,
                          uint8_t* scratch) {
  ((kWidths == WidthsOf(params) ? kernels::DepthwiseConv2DOf<kWidths / 10, kWidths % 10>(
                                      params, input, filter, table, output, scratch)
                                : void()),
   ...);
}

template <int... kWidths>
void FullyConnectedAmong(const FullyConnectedParams& params, const uint8_t* input,
                         const uint8_t* filter, const ChannelTable& table, uint8_t* output,
                         uint8_t* scratch) {
  ((kWidths == WidthsOf(params) ? kernels::FullyConnectedOf<kWidths / 10, kWidths % 10>(
                                      params, input, filter, table, output, scratch)
                                : void()),
   ...);
}

template <int... kWidths>
void AddAmong(const AddParams& params, const uint8_t* input0, const uint8_t* input1,
              uint8_t* output) {
  ((kWidths == CommonBits(params) ? kernels::AddOf<kWidths>(params, input0, input1, output)
                                  : void()),
   ...);
}

}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_AMONG_H_
