#include "tflm_kernels/portable/ops/fully_connected.h"

#include "tflm_kernels/portable/law/dot.h"

namespace quantmcu {
namespace reference {

size_t FullyConnectedScratchBytes(const FullyConnectedParams&) { return 0; }

void FullyConnected(const FullyConnectedParams& params, const uint8_t* input, const uint8_t* filter,
                    const ChannelTable& table, uint8_t* output, uint8_t* /*scratch*/) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  const int32_t run_bytes = RunBytes(in.channels, params.weight_bits);
  for (int32_t o = 0; o < out.channels; ++o) {
    const int32_t sum =
        Dot(input, in.bits, in.zero_point, filter + o * run_bytes, params.weight_bits, in.channels);
    StoreValue(output, o, out.bits,
               Requantized(WrappingAdd(table.bias[o], sum), FactorOf(table, o), out.zero_point,
                           params.clamp));
  }
}

}  // namespace reference
}  // namespace quantmcu
