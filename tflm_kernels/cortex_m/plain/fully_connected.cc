// Fully connected without DSP.
//
// What is gained: the input is unpacked once (columns.h) and meets all outputs, two at a time (dots.h).
// Memory   scratch for the unpacked input: 2 bytes a value.
#include "tflm_kernels/cortex_m/plain/channels.h"
#include "tflm_kernels/cortex_m/plain/columns.h"
#include "tflm_kernels/cortex_m/plain/kernels.h"

namespace quantmcu {
namespace plain {

template <int kInputBits, int kWeightBits>
void FullyConnectedOf(const FullyConnectedParams& params, const uint8_t* input,
                      const uint8_t* filter, const ChannelTable& table, uint8_t* output,
                      uint8_t* scratch) {
  const FeatureMap& in = params.input;
  auto* const column = reinterpret_cast<int16_t*>(scratch);
  UnpackRun<1>(input, in.channels, in.bits, in.zero_point, column);
  for (int32_t i = in.channels; i < Slots(in.channels, kWeightBits); ++i) column[i] = 0;
  const Operands op = {filter, RunBytes(in.channels, kWeightBits), table, params.output,
                       params.clamp};
  AllChannels<1>(op, DotsOfOne<kWeightBits, 1>(), column, &output);
}

void FullyConnected(const FullyConnectedParams& params, const uint8_t* input, const uint8_t* filter,
                    const ChannelTable& table, uint8_t* output, uint8_t* scratch) {
  static constexpr FullyConnectedFn* kOfWidths[3][3] = {
      {FullyConnectedOf<2, 2>, FullyConnectedOf<2, 4>, FullyConnectedOf<2, 8>},
      {FullyConnectedOf<4, 2>, FullyConnectedOf<4, 4>, FullyConnectedOf<4, 8>},
      {FullyConnectedOf<8, 2>, FullyConnectedOf<8, 4>, FullyConnectedOf<8, 8>}};
  AtWidths(kOfWidths, params)(params, input, filter, table, output, scratch);
}

}  // namespace plain
}  // namespace quantmcu
