#include "tflm_kernels/portable/ops/depthwise_conv2d.h"

#include "tflm_kernels/portable/law/dot.h"

namespace quantmcu {
namespace reference {
namespace {

// Output channels are taken in blocks, so that the innermost loop runs over neighbours in memory.
struct ChannelBlock {
  int32_t begin;
  int32_t count;
  int32_t sums[kBlock];  // with the bias from the start; FindBadChannel has bounded both
};

// The input values that the block's output channels read from one pixel.
const int8_t* InputValues(const DepthwiseConv2DParams& params, const uint8_t* pixel,
                          const ChannelBlock& block, int8_t* values) {
  const int32_t bits = params.input.bits;
  if (params.depth_multiplier == 1) return Unpack(pixel, block.begin, block.count, bits, values);
  for (int32_t c = 0; c < block.count; ++c) {
    const int32_t channel = (block.begin + c) / params.depth_multiplier;
    values[c] = static_cast<int8_t>(LoadValue(pixel, channel, bits));
  }
  return values;
}

void AddTap(const DepthwiseConv2DParams& params, const uint8_t* pixel, const uint8_t* tap,
            ChannelBlock* block) {
  int8_t x_values[kBlock];
  int8_t w_values[kBlock];
  const int8_t* x = InputValues(params, pixel, *block, x_values);
  const int8_t* w = Unpack(tap, block->begin, block->count, params.weight_bits, w_values);
  const int32_t zero_point = params.input.zero_point;
  for (int32_t c = 0; c < block->count; ++c) {
    block->sums[c] = WrappingAdd(block->sums[c], (x[c] - zero_point) * w[c]);
  }
}

}  // namespace

size_t DepthwiseConv2DScratchBytes(const DepthwiseConv2DParams&) { return 0; }

void DepthwiseConv2D(const DepthwiseConv2DParams& params, const uint8_t* input,
                     const uint8_t* filter, const ChannelTable& table, uint8_t* output,
                     uint8_t* /*scratch*/) {
  const FeatureMap& out = params.output;
  const int32_t tap_bytes = RunBytes(out.channels, params.weight_bits);
  for (int32_t oy = 0; oy < out.height; ++oy) {
    for (int32_t ox = 0; ox < out.width; ++ox) {
      uint8_t* run = output + PixelOffset(out, oy, ox);
      ChannelBlock block;
      for (block.begin = 0; block.begin < out.channels; block.begin += kBlock) {
        const int32_t remaining = out.channels - block.begin;
        block.count = remaining < kBlock ? remaining : kBlock;
        for (int32_t c = 0; c < block.count; ++c) block.sums[c] = table.bias[block.begin + c];
        ForEachTapInside(params.input, params.window, oy, ox,
                         [&](int32_t pixel_offset, int32_t tap) {
                           AddTap(params, input + pixel_offset, filter + tap * tap_bytes, &block);
                         });
        for (int32_t c = 0; c < block.count; ++c) {
          const int32_t o = block.begin + c;
          StoreValue(run, o, out.bits,
                     Requantized(block.sums[c], FactorOf(table, o), out.zero_point, params.clamp));
        }
      }
    }
  }
}

}  // namespace reference
}  // namespace quantmcu
