// cortex_m/mve/depthwise_block.h - sixteen channels of a depthwise convolution, which its loops share.
#ifndef TFLM_KERNELS_CORTEX_M_MVE_DEPTHWISE_BLOCK_H_
#define TFLM_KERNELS_CORTEX_M_MVE_DEPTHWISE_BLOCK_H_

#include <arm_mve.h>
#include <stdint.h>

#include "tflm_kernels/cortex_m/mve/channel_block.h"
#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/ops/depthwise_conv2d.h"

namespace quantmcu {
namespace mve {

template <typename Sums>
inline void AddProducts(int8x16_t x, int8x16_t w, Sums* sums) {
  AddLanes(vmullbq_int_s8(x, w), vmulltq_int_s8(x, w), sums);
}

struct Block {
  int32_t first;
  int32_t count;  // of channels, 1 to kLanes
  const int8_t* weights;
  // If lanes are gathered, where their input channels stand, in bytes from the first one's and in bits
  // from the top of a byte.
  uint8x16_t offsets;
  int8x16_t left_shifts;
  bool shifts_left;  // a factor does
};

// Where the first input channel of a block stands in a pixel.
inline int32_t FirstInputByte(const DepthwiseConv2DParams& params, const Block& block) {
  return block.first / params.depth_multiplier * params.input.bits / 8;
}

struct BlockwiseDepthwise {
  const DepthwiseConv2DParams& params;
  const uint8_t* input;
  const uint8_t* filter;
  ChannelTable table;
  uint8_t* output;
  int8_t* scratch;  // for a block's expanded weights and, behind them, its table
};

}  // namespace mve
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_MVE_DEPTHWISE_BLOCK_H_
