// cortex_m/dsp/operands.h - what convolution and fully connected get, as one thing to hand on.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_OPERANDS_H_
#define TFLM_KERNELS_CORTEX_M_DSP_OPERANDS_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/channel_table.h"

namespace quantmcu {
namespace dsp {

struct Operands {
  const uint8_t* input;
  const uint8_t* filter;
  ChannelTable table;
  uint8_t* scratch;
  uint8_t* output;
  bool has_plain_results = false;  // see byte_dots.h
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_OPERANDS_H_
