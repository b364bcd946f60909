// Conv2D for MVE, at all widths: four output channels share the loads of an input, 16 products an
// instruction (dot_mve.h).
//
// Input zero points are folded into the biases: sum((x - z) * w) = sum(x * w) - z * sum(w), where a
// tap outside reads z. A 1x1 kernel that stays inside reads input pixels where they stand and
// takes channels in the outer loop; other kernels gather the window of a pixel first and use it for
// kGatheredQuads quads. 8-bit weights over 8-bit inputs stay in flash; others are expanded, four
// channels at a time, to scratch.
// Rows of more than kMaxRow values go to the reference.
#include <string.h>

#include "tflm_kernels/cortex_m/channel_quad_mve.h"
#include "tflm_kernels/cortex_m/dot_mve.h"
#include "tflm_kernels/cortex_m/kernels_mve.h"

namespace quantmcu {
namespace mve {
namespace {

constexpr int32_t kGatheredQuads = 4;

// Whole pixels of a row or a window are copied by whole vectors: no call for a few bytes.
inline void CopyBytes(uint8_t* to, const uint8_t* from, int32_t num_bytes) {
  for (int32_t i = 0; i < num_bytes; i += kLanes) {
    const mve_pred16_t inside = vctp8q(static_cast<uint32_t>(num_bytes - i));
    vstrbq_p_u8(to + i, vldrbq_z_u8(from + i, inside), inside);
  }
}

inline void FillBytes(uint8_t* to, uint8_t value, int32_t num_bytes) {
  for (int32_t i = 0; i < num_bytes; i += kLanes) {
    vstrbq_p_u8(to + i, vdupq_n_u8(value), vctp8q(static_cast<uint32_t>(num_bytes - i)));
  }
}

// A byte full of zero points.
uint8_t PaddingByte(const FeatureMap& map) {
  uint8_t byte = 0;
  for (int32_t i = 0; i < 8 / map.bits; ++i) StoreValue(&byte, i, map.bits, map.zero_point);
  return byte;
}

struct ConvQuad {
  ChannelQuad channels;
  const int8_t* rows[kQuad];
};

struct Convolution {
  const Conv2DParams& params;
  const uint8_t* input;
  const uint8_t* filter;
  ChannelTables tables;
  OutputLanes output_lanes;
  uint8_t* output;
  int8_t* expanded;  // rows of kQuad channels, or null: the filter's own rows serve
  uint8_t* window;   // the gathered window of a pixel, or null: pixels are read where they stand
  RowShape filter_row;
  int32_t packed_bytes;  // of a window
};

RowShape FilterRow(const Conv2DParams& params) {
  return {params.window.kernel_height * params.window.kernel_width, params.input.channels,
          params.weight_bits};
}

bool NeedsExpansion(const Conv2DParams& params) {
  return params.input.bits != 8 || params.weight_bits != 8;
}

bool LastPixelInside(int32_t input, int32_t output, int32_t stride) {
  return (output - 1) * stride < input;
}

bool NeedsGather(const Conv2DParams& params) {
  const Window& w = params.window;
  return w.kernel_height != 1 || w.kernel_width != 1 || w.pad_top != 0 || w.pad_left != 0 ||
         !LastPixelInside(params.input.height, params.output.height, w.stride_height) ||
         !LastPixelInside(params.input.width, params.output.width, w.stride_width);
}

int32_t ExpandedRowBytes(const Conv2DParams& params) {
  return NeedsExpansion(params) ? ExpandedBytes(FilterRow(params), params.input.bits) : 0;
}

int32_t SumOfBytes(const int8_t* values, int32_t count) {
  int32_t sum = 0;
  for (int32_t i = 0; i < count; i += kLanes) {
    const mve_pred16_t inside = vctp8q(static_cast<uint32_t>(count - i));
    sum = vaddvaq_s8(sum, vldrbq_z_s8(values + i, inside));
  }
  return sum;
}

ConvQuad PrepareQuad(const Convolution& conv, int32_t first) {
  ConvQuad quad = {LoadQuad(conv.tables, first), {}};
  const int32_t row_bytes = RowBytes(conv.filter_row);
  const int32_t expanded_bytes = ExpandedRowBytes(conv.params);
  int32_t sums[kQuad] = {};
  for (int32_t c = 0; c < kQuad; ++c) {
    if (c >= quad.channels.count) {
      quad.rows[c] = quad.rows[0];  // read, but its result is dropped
      continue;
    }
    const uint8_t* row = conv.filter + (first + c) * row_bytes;
    if (conv.expanded == nullptr) {
      quad.rows[c] = reinterpret_cast<const int8_t*>(row);
      sums[c] = SumOfBytes(quad.rows[c], row_bytes);
    } else {
      int8_t* expanded = conv.expanded + c * expanded_bytes;
      quad.rows[c] = expanded;
      sums[c] = ExpandRow(row, conv.filter_row, conv.params.input.bits, expanded);
    }
  }
  const int32x4_t folded = vmulq_n_s32(vldrwq_s32(sums), conv.params.input.zero_point);
  quad.channels.bias = vsubq_s32(quad.channels.bias, folded);
  return quad;
}

// The quad's sums over a packed window; rows are in field order.
template <int kBits>
inline int32x4_t DotQuad(const uint8_t* window, int32_t packed_bytes, const int8_t* const* rows) {
  const int8_t* row0 = rows[0];
  const int8_t* row1 = rows[1];
  const int8_t* row2 = rows[2];
  const int8_t* row3 = rows[3];
  int32_t sum0 = 0;
  int32_t sum1 = 0;
  int32_t sum2 = 0;
  int32_t sum3 = 0;
  const int8_t* x = reinterpret_cast<const int8_t*>(window);
  for (int32_t blocks = packed_bytes / kLanes; blocks > 0; --blocks) {
    const int8x16_t bytes = vldrbq_s8(x);
    x += kLanes;
#pragma GCC unroll 4
    for (int f = 0; f < kFields<kBits>; ++f) {
      const int8x16_t values = Field<kBits>(bytes, f);
      sum0 = vmladavaq_s8(sum0, values, vldrbq_s8(row0));
      sum1 = vmladavaq_s8(sum1, values, vldrbq_s8(row1));
      sum2 = vmladavaq_s8(sum2, values, vldrbq_s8(row2));
      sum3 = vmladavaq_s8(sum3, values, vldrbq_s8(row3));
      row0 += kLanes;
      row1 += kLanes;
      row2 += kLanes;
      row3 += kLanes;
    }
  }
  if (packed_bytes % kLanes != 0) {
    const mve_pred16_t inside = vctp8q(static_cast<uint32_t>(packed_bytes % kLanes));
    const int8x16_t bytes = vldrbq_z_s8(x, inside);
#pragma GCC unroll 4
    for (int f = 0; f < kFields<kBits>; ++f) {
      const int8x16_t values = Field<kBits>(bytes, f);
      sum0 = vmladavaq_s8(sum0, values, vldrbq_z_s8(row0 + kLanes * f, inside));
      sum1 = vmladavaq_s8(sum1, values, vldrbq_z_s8(row1 + kLanes * f, inside));
      sum2 = vmladavaq_s8(sum2, values, vldrbq_z_s8(row2 + kLanes * f, inside));
      sum3 = vmladavaq_s8(sum3, values, vldrbq_z_s8(row3 + kLanes * f, inside));
    }
  }
  int32x4_t sums = vdupq_n_s32(sum0);
  sums = vsetq_lane_s32(sum1, sums, 1);
  sums = vsetq_lane_s32(sum2, sums, 2);
  sums = vsetq_lane_s32(sum3, sums, 3);
  return Reduced<kBits>(sums);
}

template <int kBits>
inline void ComputeQuad(const Convolution& conv, const ConvQuad& quad, const uint8_t* window,
                        uint8_t* bytes) {
  const int32x4_t sums = DotQuad<kBits>(window, conv.packed_bytes, quad.rows);
  const int32x4_t y = Requantized(vaddq_s32(sums, quad.channels.bias), quad.channels.factor,
                                  conv.output_lanes);
  StoreQuad(bytes, conv.output_lanes.bits, y, quad.channels.count);
}

// Channels outside, pixels inside: what belongs to the channels stays in registers.
template <int kBits>
void RunInPlace(const Convolution& conv) {
  const FeatureMap& in = conv.params.input;
  const FeatureMap& out = conv.params.output;
  const int32_t row_step = conv.params.window.stride_height * in.row_bytes;
  const int32_t pixel_step = conv.params.window.stride_width * PixelBytes(in);
  const int32_t out_pixel_bytes = PixelBytes(out);
  for (int32_t o = 0; o < out.channels; o += kQuad) {
    const ConvQuad quad = PrepareQuad(conv, o);
    uint8_t* out_row = conv.output + o * out.bits / 8;
    const uint8_t* in_row = conv.input;
    for (int32_t y = 0; y < out.height; ++y) {
      const uint8_t* pixel = in_row;
      uint8_t* bytes = out_row;
      for (int32_t x = 0; x < out.width; ++x) {
        ComputeQuad<kBits>(conv, quad, pixel, bytes);
        pixel += pixel_step;
        bytes += out_pixel_bytes;
      }
      in_row += row_step;
      out_row += out.row_bytes;
    }
  }
}

// One row of the window's taps, `x` the input column of its first tap.
void GatherTaps(const Convolution& conv, int32_t iy, int32_t x, uint8_t padding, uint8_t* taps) {
  const FeatureMap& in = conv.params.input;
  const Window& window = conv.params.window;
  const int32_t pixel_bytes = PixelBytes(in);
  const int32_t last = x + (window.kernel_width - 1) * window.dilation_width;
  const bool is_row_inside = iy >= 0 && iy < in.height;
  if (is_row_inside && x >= 0 && last < in.width && window.dilation_width == 1) {
    CopyBytes(taps, conv.input + PixelOffset(in, iy, x), window.kernel_width * pixel_bytes);
    return;
  }
  for (int32_t kx = 0; kx < window.kernel_width; ++kx, taps += pixel_bytes) {
    const int32_t ix = x + kx * window.dilation_width;
    if (is_row_inside && ix >= 0 && ix < in.width) {
      CopyBytes(taps, conv.input + PixelOffset(in, iy, ix), pixel_bytes);
    } else {
      FillBytes(taps, padding, pixel_bytes);
    }
  }
}

void Gather(const Convolution& conv, int32_t oy, int32_t ox, uint8_t padding) {
  const Window& window = conv.params.window;
  const int32_t x = ox * window.stride_width - window.pad_left;
  int32_t y = oy * window.stride_height - window.pad_top;
  uint8_t* taps = conv.window;
  const int32_t tap_row_bytes = window.kernel_width * PixelBytes(conv.params.input);
  for (int32_t ky = 0; ky < window.kernel_height; ++ky) {
    GatherTaps(conv, y, x, padding, taps);
    taps += tap_row_bytes;
    y += window.dilation_height;
  }
}

template <int kBits>
void RunGathered(const Convolution& conv) {
  const FeatureMap& out = conv.params.output;
  const uint8_t padding = PaddingByte(conv.params.input);
  const int32_t block = kQuad * (conv.expanded == nullptr ? kGatheredQuads : 1);
  for (int32_t first = 0; first < out.channels; first += block) {
    const int32_t end = out.channels - first < block ? out.channels : first + block;
    ConvQuad quads[kGatheredQuads];
    for (int32_t o = first; o < end; o += kQuad) {
      quads[(o - first) / kQuad] = PrepareQuad(conv, o);
    }
    for (int32_t y = 0; y < out.height; ++y) {
      for (int32_t x = 0; x < out.width; ++x) {
        Gather(conv, y, x, padding);
        uint8_t* pixel = conv.output + PixelOffset(out, y, x);
        const ConvQuad* quad = quads;
        for (int32_t o = first; o < end; o += kQuad, ++quad) {
          ComputeQuad<kBits>(conv, *quad, conv.window, pixel + o * out.bits / 8);
        }
      }
    }
  }
}

template <int kBits>
void Run(const Convolution& conv) {
  if (conv.window == nullptr) {
    RunInPlace<kBits>(conv);
  } else {
    RunGathered<kBits>(conv);
  }
}

bool IsCovered(const Conv2DParams& params) {
  const RowShape row = FilterRow(params);
  return int64_t{row.num_runs} * row.run_length <= kMaxRow;
}

}  // namespace

int32_t Conv2DScratchBytes(const Conv2DParams& params) {
  if (!IsCovered(params)) return 0;
  const RowShape row = FilterRow(params);
  const int32_t window_bytes =
      NeedsGather(params) ? RowBytes({row.num_runs, row.run_length, params.input.bits}) : 0;
  return kQuad * ExpandedRowBytes(params) + window_bytes;
}

void Conv2D(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
            const int32_t* bias, const int32_t* multiplier, const int32_t* shift, uint8_t* output,
            uint8_t* scratch) {
  if (!IsCovered(params)) {
    reference::Conv2D(params, input, filter, bias, multiplier, shift, output);
    return;
  }
  const RowShape row = FilterRow(params);
  int8_t* expanded = NeedsExpansion(params) ? reinterpret_cast<int8_t*>(scratch) : nullptr;
  uint8_t* window = NeedsGather(params) ? scratch + kQuad * ExpandedRowBytes(params) : nullptr;
  const Convolution conv = {params,
                            input,
                            filter,
                            {bias, multiplier, shift, params.output.channels},
                            Lanes(params.output, params.clamp),
                            output,
                            expanded,
                            window,
                            row,
                            RowBytes({row.num_runs, row.run_length, params.input.bits})};
  if (params.input.bits == 8) {
    Run<8>(conv);
  } else if (params.input.bits == 4) {
    Run<4>(conv);
  } else {
    Run<2>(conv);
  }
}

}  // namespace mve
}  // namespace quantmcu
