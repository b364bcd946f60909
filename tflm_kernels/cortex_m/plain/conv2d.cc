// Convolution without DSP.
//
// What is gained: what two output pixels read is unpacked once (columns.h) and meets all output channels, two at a time
// (dots.h); where the border is, is asked once a pixel.
// Memory   scratch for the columns: 4 bytes a tap and input channel, 2 where there is but one output pixel.
#include "tflm_kernels/cortex_m/plain/channels.h"
#include "tflm_kernels/cortex_m/plain/columns.h"
#include "tflm_kernels/cortex_m/plain/kernels.h"
#include "tflm_kernels/cortex_m/plain/scratch.h"

namespace quantmcu {
namespace plain {
namespace {

// By the width of weights.
struct Variant {
  DotsFn* two;
  DotsFn* one_of_two;  // the last pixel of an odd number
  DotsFn* one;
};

template <int kWeightBits>
constexpr DotsFn* DotsOfTwo() {
  if constexpr (kWeightBits == 8) {
    return DotBytesOfTwo;
  } else {
    return DotFieldsOfTwo<kWeightBits>;
  }
}

template <int kWeightBits>
constexpr Variant kVariant = {DotsOfTwo<kWeightBits>(), DotsOfOne<kWeightBits, 2>(),
                              DotsOfOne<kWeightBits, 1>()};

void Run(const Conv2DParams& params, const Variant& variant, const uint8_t* input,
         const uint8_t* filter, const ChannelTable& table, uint8_t* output, uint8_t* scratch) {
  const FeatureMap& out = params.output;
  const Unpacker unpacker(params.input, params.window, params.weight_bits, input);
  const Operands op = {filter, FilterBytes(params), table, out, params.clamp};
  auto* const columns = reinterpret_cast<int16_t*>(scratch);
  if (HasOnePixel(out)) {
    unpacker.Unpack<1>(0, 0, columns);
    return AllChannels<1>(op, variant.one, columns, &output);
  }
  uint8_t* runs[2];
  int32_t pixel = 0;
  for (int32_t y = 0; y < out.height; ++y) {
    for (int32_t x = 0; x < out.width; ++x) {
      unpacker.Unpack<2>(y, x, columns + pixel);
      runs[pixel] = output + PixelOffset(out, y, x);
      if (pixel == 1) AllChannels<2>(op, variant.two, columns, runs);
      pixel ^= 1;
    }
  }
  if (pixel == 1) AllChannels<1>(op, variant.one_of_two, columns, runs);
}

}  // namespace

template <int kInputBits, int kWeightBits>
void Conv2DOf(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
              const ChannelTable& table, uint8_t* output, uint8_t* scratch) {
  Run(params, kVariant<kWeightBits>, input, filter, table, output, scratch);
}

void Conv2D(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
            const ChannelTable& table, uint8_t* output, uint8_t* scratch) {
  static constexpr Conv2DFn* kOfWidths[3][3] = {{Conv2DOf<2, 2>, Conv2DOf<2, 4>, Conv2DOf<2, 8>},
                                                {Conv2DOf<4, 2>, Conv2DOf<4, 4>, Conv2DOf<4, 8>},
                                                {Conv2DOf<8, 2>, Conv2DOf<8, 4>, Conv2DOf<8, 8>}};
  AtWidths(kOfWidths, params)(params, input, filter, table, output, scratch);
}

}  // namespace plain
}  // namespace quantmcu
