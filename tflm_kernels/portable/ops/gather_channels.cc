#include "tflm_kernels/portable/ops/gather_channels.h"

#include <string.h>

#include "tflm_kernels/portable/law/convert_values.h"

namespace quantmcu {
namespace reference {
namespace {

// A run's place in its input, and its first channel in the output.
struct Part {
  const GatherInput* input;
  const uint8_t* pixels;
  int32_t first;
  int32_t count;
  int32_t target;
};

Part PartOf(const GatherChannelsParams& params, const uint8_t* const* inputs, const ChannelRun& run,
            int32_t target) {
  int32_t j = 0;
  int32_t first = run.first;
  while (first >= params.inputs[j].map.channels) first -= params.inputs[j++].map.channels;
  return {&params.inputs[j], inputs[j], first, run.count, target};
}

// Whether values keep their bits and are whole bytes.
bool MovesBytes(const GatherChannelsParams& params, const Part& part) {
  const GatherInput& input = *part.input;
  const int32_t positions = part.first | part.count | part.target;
  return KeepsValues(input.map, params.output, input.multiplier, params.clamp) &&
         positions * params.output.bits % 8 == 0;
}

void MoveBytes(const GatherChannelsParams& params, const Part& part, uint8_t* output) {
  const FeatureMap& in = part.input->map;
  const FeatureMap& out = params.output;
  const auto num_bytes = static_cast<size_t>(RunBytes(part.count, out.bits));
  const int32_t source_step = PixelBytes(in);
  const int32_t target_step = PixelBytes(out);
  for (int32_t y = 0; y < out.height; ++y) {
    const uint8_t* source = part.pixels + y * in.row_bytes + part.first * in.bits / 8;
    uint8_t* target = output + y * out.row_bytes + part.target * out.bits / 8;
    for (int32_t x = 0; x < out.width; ++x) {
      memcpy(target, source, num_bytes);
      source += source_step;
      target += target_step;
    }
  }
}

void MoveValues(const GatherChannelsParams& params, const Part& part, uint8_t* output) {
  const FeatureMap& in = part.input->map;
  const FeatureMap& out = params.output;
  for (int32_t y = 0; y < out.height; ++y) {
    for (int32_t x = 0; x < out.width; ++x) {
      const uint8_t* source = part.pixels + PixelOffset(in, y, x);
      uint8_t* target = output + PixelOffset(out, y, x);
      for (int32_t c = 0; c < part.count; ++c) {
        const int32_t value = LoadValue(source, part.first + c, in.bits) - in.zero_point;
        StoreValue(target, part.target + c, out.bits,
                   Requantized(value, part.input->multiplier, out.zero_point, params.clamp));
      }
    }
  }
}

}  // namespace

// Runs are in the order of the output's channels, as StoreValue wants them.
void GatherChannels(const GatherChannelsParams& params, const uint8_t* const* inputs,
                    const ChannelRun* runs, uint8_t* output) {
  int32_t target = 0;
  for (int32_t r = 0; r < params.num_runs; ++r) {
    const Part part = PartOf(params, inputs, runs[r], target);
    if (MovesBytes(params, part)) {
      MoveBytes(params, part, output);
    } else {
      MoveValues(params, part, output);
    }
    target += part.count;
  }
}

}  // namespace reference
}  // namespace quantmcu
