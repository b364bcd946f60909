// FullyConnected for MVE, at all widths: 16 products an instruction (dot_mve.h).
//
// Weights are read once each, so they stay packed, in flash; the input vector is expanded to their
// field order, in scratch, unless both have 8 bits. The sum of the weights, which the input's zero
// point is folded with, is taken on the way; it relies on unused bits being 0 (docs/format.md F2).
// Rows of more than kMaxRow values go to the reference.
#include "tflm_kernels/cortex_m/channel_quad_mve.h"
#include "tflm_kernels/cortex_m/dot_mve.h"
#include "tflm_kernels/cortex_m/kernels_mve.h"

namespace quantmcu {
namespace mve {
namespace {

struct Pair {
  int32_t sums[2];
  int32_t weight_sums[2];
};

bool NeedsExpansion(const FullyConnectedParams& params) {
  return params.input.bits != 8 || params.weight_bits != 8;
}

// Four accumulators are what the instruction's registers (even ones) allow beside the addresses.
template <int kBits>
inline Pair DotPair(const int8_t* x, const uint8_t* weights0, const uint8_t* weights1,
                    int32_t row_bytes) {
  int32_t sum0 = 0;
  int32_t sum1 = 0;
  int32_t weight_sum0 = 0;
  int32_t weight_sum1 = 0;
  const int8_t* row0 = reinterpret_cast<const int8_t*>(weights0);
  const int8_t* row1 = reinterpret_cast<const int8_t*>(weights1);
  for (int32_t blocks = row_bytes / kLanes; blocks > 0; --blocks) {
    const int8x16_t bytes0 = vldrbq_s8(row0);
    const int8x16_t bytes1 = vldrbq_s8(row1);
    row0 += kLanes;
    row1 += kLanes;
#pragma GCC unroll 4
    for (int f = 0; f < kFields<kBits>; ++f) {
      const int8x16_t values = vldrbq_s8(x);
      x += kLanes;
      const int8x16_t w0 = Field<kBits>(bytes0, f);
      sum0 = vmladavaq_s8(sum0, values, w0);
      weight_sum0 = vaddvaq_s8(weight_sum0, w0);
      const int8x16_t w1 = Field<kBits>(bytes1, f);
      sum1 = vmladavaq_s8(sum1, values, w1);
      weight_sum1 = vaddvaq_s8(weight_sum1, w1);
    }
  }
  if (row_bytes % kLanes != 0) {
    const mve_pred16_t inside = vctp8q(static_cast<uint32_t>(row_bytes % kLanes));
    const int8x16_t bytes0 = vldrbq_z_s8(row0, inside);
    const int8x16_t bytes1 = vldrbq_z_s8(row1, inside);
#pragma GCC unroll 4
    for (int f = 0; f < kFields<kBits>; ++f) {
      const int8x16_t values = vldrbq_z_s8(x + kLanes * f, inside);
      const int8x16_t w0 = Field<kBits>(bytes0, f);
      sum0 = vmladavaq_s8(sum0, values, w0);
      weight_sum0 = vaddvaq_s8(weight_sum0, w0);
      const int8x16_t w1 = Field<kBits>(bytes1, f);
      sum1 = vmladavaq_s8(sum1, values, w1);
      weight_sum1 = vaddvaq_s8(weight_sum1, w1);
    }
  }
  return {{sum0, sum1}, {weight_sum0, weight_sum1}};
}

template <int kBits>
void Run(const FullyConnectedParams& params, const int8_t* x, const uint8_t* filter,
         const ChannelTables& tables, uint8_t* output) {
  const FeatureMap& out = params.output;
  const OutputLanes lanes = Lanes(out, params.clamp);
  const int32_t row_bytes = RunBytes(params.input.channels, kBits);
  for (int32_t o = 0; o < out.channels; o += kQuad) {
    const ChannelQuad quad = LoadQuad(tables, o);
    int32_t sums[kQuad] = {};
    int32_t weight_sums[kQuad] = {};
    for (int32_t c = 0; c < quad.count; c += 2) {
      const uint8_t* row0 = filter + (o + c) * row_bytes;
      const uint8_t* row1 = c + 1 < quad.count ? row0 + row_bytes : row0;
      const Pair pair = DotPair<kBits>(x, row0, row1, row_bytes);
      sums[c] = pair.sums[0];
      sums[c + 1] = pair.sums[1];
      weight_sums[c] = pair.weight_sums[0];
      weight_sums[c + 1] = pair.weight_sums[1];
    }
    const int32x4_t products = Reduced<kBits>(vldrwq_s32(sums));
    const int32x4_t folded =
        vmulq_n_s32(Reduced<kBits>(vldrwq_s32(weight_sums)), params.input.zero_point);
    const int32x4_t accumulators = vaddq_s32(quad.bias, vsubq_s32(products, folded));
    StoreQuad(output + o * out.bits / 8, out.bits, Requantized(accumulators, quad.factor, lanes),
              quad.count);
  }
}

}  // namespace

int32_t FullyConnectedScratchBytes(const FullyConnectedParams& params) {
  if (params.input.channels > kMaxRow || !NeedsExpansion(params)) return 0;
  return ExpandedBytes({1, params.input.channels, params.input.bits}, params.weight_bits);
}

void FullyConnected(const FullyConnectedParams& params, const uint8_t* input, const uint8_t* filter,
                    const int32_t* bias, const int32_t* multiplier, const int32_t* shift,
                    uint8_t* output, uint8_t* scratch) {
  const FeatureMap& in = params.input;
  if (in.channels > kMaxRow) {
    reference::FullyConnected(params, input, filter, bias, multiplier, shift, output);
    return;
  }
  const int8_t* x = reinterpret_cast<const int8_t*>(input);
  if (NeedsExpansion(params)) {
    int8_t* expanded = reinterpret_cast<int8_t*>(scratch);
    ExpandRow(input, {1, in.channels, in.bits}, params.weight_bits, expanded);
    x = expanded;
  }
  const ChannelTables tables = {bias, multiplier, shift, params.output.channels};
  if (params.weight_bits == 8) {
    Run<8>(params, x, filter, tables, output);
  } else if (params.weight_bits == 4) {
    Run<4>(params, x, filter, tables, output);
  } else {
    Run<2>(params, x, filter, tables, output);
  }
}

}  // namespace mve
}  // namespace quantmcu
