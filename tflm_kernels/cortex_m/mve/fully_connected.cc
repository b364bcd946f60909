// FullyConnected for MVE, at all widths: 16 products an instruction (dot.h).
//
// Weights are read once each, so they stay packed, in flash; the input vector is expanded to their
// field order, in scratch, unless both have 8 bits. The sum of the weights, which the input's zero
// point is folded with, is taken on the way; it relies on unused bits being 0 (docs/format.md F2).
// Rows of more than kMaxRow values go to the reference.
#include "tflm_kernels/cortex_m/mve/channel_quad.h"
#include "tflm_kernels/cortex_m/mve/dot.h"
#include "tflm_kernels/cortex_m/mve/kernels.h"

namespace quantmcu {
namespace mve {
namespace {

struct Pair {
  int32_t sums[2];
  int32_t weight_sums[2];
};

// One step for two rows. Four accumulators are what the instruction's registers (even ones) allow
// beside the addresses.
inline void AddProducts(int8x16_t x, int8x16_t w0, int8x16_t w1, Pair* pair) {
  pair->sums[0] = vmladavaq_s8(pair->sums[0], x, w0);
  pair->weight_sums[0] = vaddvaq_s8(pair->weight_sums[0], w0);
  pair->sums[1] = vmladavaq_s8(pair->sums[1], x, w1);
  pair->weight_sums[1] = vaddvaq_s8(pair->weight_sums[1], w1);
}

template <int kBits>
inline Pair DotPair(const int8_t* x, const uint8_t* weights0, const uint8_t* weights1,
                    const RowSteps& steps) {
  constexpr int32_t kGroupBytes = kLanes / kFields<kBits>;
  Pair pair = {};
  const int8_t* row0 = reinterpret_cast<const int8_t*>(weights0);
  const int8_t* row1 = reinterpret_cast<const int8_t*>(weights1);
  for (int32_t i = steps.blocks; i > 0; --i, row0 += kLanes, row1 += kLanes) {
    const int8x16_t bytes0 = vldrbq_s8(row0);
    const int8x16_t bytes1 = vldrbq_s8(row1);
#pragma GCC unroll 4
    for (int f = 0; f < kFields<kBits>; ++f, x += kLanes) {
      AddProducts(vldrbq_s8(x), Field<kBits>(bytes0, f), Field<kBits>(bytes1, f), &pair);
    }
  }
  for (int32_t i = steps.groups; i > 0; --i, row0 += kGroupBytes, row1 += kGroupBytes) {
    AddProducts(vldrbq_s8(x), LoadTops<kBits>(row0), LoadTops<kBits>(row1), &pair);
    x += kLanes;
  }
  if (steps.has_rest) {
    const int8x16_t values = kBits == 8 ? vldrbq_z_s8(x, steps.inside) : vldrbq_s8(x);
    AddProducts(values, LoadTops<kBits>(row0, steps.inside), LoadTops<kBits>(row1, steps.inside),
                &pair);
  }
  return pair;
}

template <int kBits>
void Run(const FullyConnectedParams& params, const int8_t* x, const uint8_t* filter,
         const ChannelTable& table, uint8_t* output) {
  const FeatureMap& out = params.output;
  const OutputLanes lanes = Lanes(out, params.clamp);
  const int32_t row_bytes = RunBytes(params.input.channels, kBits);
  const RowSteps steps = StepsOf<kBits>(row_bytes);
  const int32_t num_channels = out.channels;
  for (int32_t o = 0; o < num_channels; o += kQuad) {
    const int32_t count = num_channels - o < kQuad ? num_channels - o : kQuad;
    int32_t sums[kQuad] = {};
    int32_t weight_sums[kQuad] = {};
    for (int32_t c = 0; c < count; c += 2) {
      const uint8_t* row0 = filter + (o + c) * row_bytes;
      const uint8_t* row1 = c + 1 < count ? row0 + row_bytes : row0;
      const Pair pair = DotPair<kBits>(x, row0, row1, steps);
      sums[c] = pair.sums[0];
      sums[c + 1] = pair.sums[1];
      weight_sums[c] = pair.weight_sums[0];
      weight_sums[c + 1] = pair.weight_sums[1];
    }
    // Read behind the sums, which need the vector registers.
    const ChannelQuad quad = LoadQuad({table, num_channels}, o);
    const int32x4_t products = Reduced<kBits>(vldrwq_s32(sums));
    const int32x4_t folded =
        vmulq_n_s32(Reduced<kBits>(vldrwq_s32(weight_sums)), params.input.zero_point);
    const int32x4_t accumulators = vaddq_s32(quad.bias, vsubq_s32(products, folded));
    StoreQuad(output + o * out.bits / 8, lanes, Requantized(accumulators, quad.factor, lanes),
              count);
  }
}

}  // namespace

void FullyConnected(const FullyConnectedParams& params, const uint8_t* input, const uint8_t* filter,
                    const ChannelTable& table, uint8_t* output, uint8_t* scratch) {
  const FeatureMap& in = params.input;
  if (in.channels > kMaxRow) {
    reference::FullyConnected(params, input, filter, table, output, scratch);
    return;
  }
  const int8_t* x = reinterpret_cast<const int8_t*>(input);
  if (NeedsExpansion(params)) {
    int8_t* expanded = reinterpret_cast<int8_t*>(scratch);
    ExpandRow(input, {1, in.channels, in.bits}, params.weight_bits, kLanes, expanded);
    x = expanded;
  }
  if (params.weight_bits == 8) {
    Run<8>(params, x, filter, table, output);
  } else if (params.weight_bits == 4) {
    Run<4>(params, x, filter, table, output);
  } else {
    Run<2>(params, x, filter, table, output);
  }
}

}  // namespace mve
}  // namespace quantmcu
