// Conv2D for MVE, at all widths: four output channels share the loads of an input, 16 products an
// instruction (dot.h).
//
// The weights of a quad of channels are expanded to scratch, interleaved, so that one address walks
// through them, and serve all pixels. Input zero points are folded into the biases:
// sum((x - z) * w) = sum(x * w) - z * sum(w), where a tap outside reads z. A 1x1 kernel that stays
// inside reads input pixels where they stand; so do larger ones for windows inside, if their rows
// are whole blocks. Other windows are gathered, kGatheredPixels at a time, and used for as many
// quads as kWeightBytes of expanded weights allow. Rows beyond kMaxRow go to the reference.
// GCC 12 schedules before it allocates registers, and loads vectors so early that they are spilled.
#ifndef __clang__
#pragma GCC optimize("no-schedule-insns")
#endif

#include "tflm_kernels/cortex_m/mve/channel_quad.h"
#include "tflm_kernels/cortex_m/mve/dot.h"
#include "tflm_kernels/cortex_m/mve/kernels.h"
#include "tflm_kernels/cortex_m/mve/window.h"

namespace quantmcu {
namespace mve {
namespace {

struct ConvQuad {
  ChannelQuad channels;
  const int8_t* weights;
};

struct Convolution {
  const Conv2DParams& params;
  const uint8_t* input;
  const uint8_t* filter;
  Channels channels;
  OutputLanes output_lanes;
  uint8_t* output;
  int8_t* weights;   // of num_quads quads, expanded
  uint8_t* windows;  // gathered, or null: pixels are read where they stand
  RowShape filter_row;
  int32_t window_bytes;
  int32_t quad_bytes;
  int32_t num_quads;
};

ConvQuad PrepareQuad(const Convolution& conv, int32_t first, int8_t* weights) {
  ConvQuad quad = {LoadQuad(conv.channels, first), weights};
  const int32_t row_bytes = RowBytes(conv.filter_row);
  int32_t sums[kQuad] = {};
  for (int32_t c = 0; c < kQuad; ++c) {
    // Behind the last channel a row is expanded again: its results are dropped.
    const int32_t channel = first + (c < quad.channels.count ? c : 0);
    sums[c] = ExpandRow(conv.filter + channel * row_bytes, conv.filter_row, conv.params.input.bits,
                        kQuad * kLanes, weights + c * kLanes);
  }
  const int32x4_t folded = vmulq_n_s32(vldrwq_s32(sums), conv.params.input.zero_point);
  quad.channels.bias = vsubq_s32(quad.channels.bias, folded);
  return quad;
}

struct Sums {
  int32_t sum0;
  int32_t sum1;
  int32_t sum2;
  int32_t sum3;
};

inline int8x16_t LoadNext(const int8_t** at) {
  const int8x16_t values = vldrbq_s8(*at);
  *at += kLanes;
  // No instruction: it makes GCC use loads that advance the address instead of sums of its own.
  asm("" : "+r"(*at));
  return values;
}

inline void AddStep(int8x16_t x, const int8_t** weights, Sums* sums) {
  sums->sum0 = vmladavaq_s8(sums->sum0, x, LoadNext(weights));
  sums->sum1 = vmladavaq_s8(sums->sum1, x, LoadNext(weights));
  sums->sum2 = vmladavaq_s8(sums->sum2, x, LoadNext(weights));
  sums->sum3 = vmladavaq_s8(sums->sum3, x, LoadNext(weights));
}

// What of a window must be looked for.
enum class Steps { kRowsOfBlocks, kBlocks, kBlocksAndGroups, kAll };

// How a window is walked through: kernel rows of whole blocks in the input, or one row.
struct WindowSteps {
  RowSteps row;
  int32_t num_rows;
  int32_t skipped_bytes;  // between rows
};

// The quad's sums over a packed window.
template <int kBits, Steps kSteps>
inline int32x4_t DotQuad(const uint8_t* window, const int8_t* weights,
                         const WindowSteps& window_steps) {
  const RowSteps& steps = window_steps.row;
  const int8_t* x = reinterpret_cast<const int8_t*>(window);
  Sums sums = {};
  int32_t num_rows = kSteps == Steps::kRowsOfBlocks ? window_steps.num_rows : 1;
  do {
    for (int32_t i = steps.blocks; i > 0; --i, x += kLanes) {
      const int8x16_t bytes = vldrbq_s8(x);
#pragma GCC unroll 4
      for (int f = 0; f < kFields<kBits>; ++f) AddStep(Field<kBits>(bytes, f), &weights, &sums);
    }
    if constexpr (kSteps == Steps::kRowsOfBlocks) x += window_steps.skipped_bytes;
  } while (--num_rows > 0);
  if constexpr (kSteps == Steps::kBlocksAndGroups || kSteps == Steps::kAll) {
    for (int32_t i = steps.groups; i > 0; --i, x += 2 * kBits) {
      AddStep(LoadTops<kBits>(x), &weights, &sums);
    }
  }
  if constexpr (kSteps == Steps::kAll) {
    if (steps.has_rest) AddStep(LoadTops<kBits>(x, steps.inside), &weights, &sums);
  }
  int32x4_t lanes = vdupq_n_s32(sums.sum0);
  lanes = vsetq_lane_s32(sums.sum1, lanes, 1);
  lanes = vsetq_lane_s32(sums.sum2, lanes, 2);
  lanes = vsetq_lane_s32(sums.sum3, lanes, 3);
  return Reduced<kBits>(lanes);
}

// A row of windows and of output pixels.
struct PixelRow {
  const uint8_t* window;
  int32_t window_step;
  uint8_t* bytes;
  int32_t byte_step;
  int32_t count;
};

// A function of its own, so that its innermost loops have all registers.
template <int kBits, Steps kSteps>
[[gnu::noinline]] void RunRow(const ConvQuad& quad, const OutputLanes& output,
                              const WindowSteps& window_steps, const PixelRow& row) {
  const ChannelQuad channels = quad.channels;
  const OutputLanes lanes = output;
  const WindowSteps steps = window_steps;
  const bool is_whole = channels.count == kQuad;
  const bool is_bytes = is_whole && output.bits == 8;
  const uint8_t* window = row.window;
  uint8_t* bytes = row.bytes;
  for (int32_t i = row.count; i > 0; --i) {
    const int32x4_t sums = DotQuad<kBits, kSteps>(window, quad.weights, steps);
    const int32x4_t y = Requantized(vaddq_s32(sums, channels.bias), channels.factor, lanes);
    if (is_bytes) {
      vstrbq_s32(reinterpret_cast<int8_t*>(bytes), y);
    } else if (is_whole) {
      StoreQuad(bytes, lanes, y);
    } else {
      StoreQuad(bytes, lanes, y, channels.count);
    }
    window += row.window_step;
    bytes += row.byte_step;
  }
}

// Windows without gaps.
template <int kBits>
void RunRow(const Convolution& conv, const ConvQuad& quad, const PixelRow& row) {
  const WindowSteps steps = {StepsOf<kBits>(conv.window_bytes), 1, 0};
  if (steps.row.has_rest) {
    RunRow<kBits, Steps::kAll>(quad, conv.output_lanes, steps, row);
  } else if (kBits == 8 || steps.row.groups == 0) {
    RunRow<kBits, Steps::kBlocks>(quad, conv.output_lanes, steps, row);
  } else {
    RunRow<kBits, Steps::kBlocksAndGroups>(quad, conv.output_lanes, steps, row);
  }
}

// Channels outside, pixels inside: what belongs to the channels stays in registers.
template <int kBits>
void RunInPlace(const Convolution& conv) {
  const FeatureMap& in = conv.params.input;
  const FeatureMap& out = conv.params.output;
  const Window& window = conv.params.window;
  const uint8_t* input = conv.input + PixelOffset(in, -window.pad_top, -window.pad_left);
  const int32_t window_step = window.stride_width * PixelBytes(in);
  const int32_t row_step = window.stride_height * in.row_bytes;
  // Rows that follow each other without a gap, in input and output, are one row.
  const bool is_dense =
      row_step == out.width * window_step && out.row_bytes == out.width * PixelBytes(out);
  const int32_t num_rows = is_dense ? 1 : out.height;
  const int32_t count = is_dense ? out.height * out.width : out.width;
  for (int32_t o = 0; o < out.channels; o += kQuad) {
    const ConvQuad quad = PrepareQuad(conv, o, conv.weights);
    uint8_t* bytes = conv.output + o * out.bits / 8;
    for (int32_t y = 0; y < num_rows; ++y) {
      RunRow<kBits>(
          conv, quad,
          {input + y * row_step, window_step, bytes + y * out.row_bytes, PixelBytes(out), count});
    }
  }
}

// Quads of the same pixels.
struct QuadBlock {
  int32_t first;  // channel
  int32_t count;
  ConvQuad quads[kMaxQuads];
};

// Output pixels [begin, end) of a row, windows gathered.
template <int kBits>
void RunGathered(const Convolution& conv, const QuadBlock& block, int32_t y, const Range& pixels) {
  const FeatureMap& out = conv.params.output;
  for (int32_t x = pixels.begin; x < pixels.end; x += kGatheredPixels) {
    const int32_t count = pixels.end - x < kGatheredPixels ? pixels.end - x : kGatheredPixels;
    GatherWindows(conv.params.input, conv.params.window, conv.input, y, x, count, conv.windows);
    uint8_t* bytes = conv.output + PixelOffset(out, y, x) + block.first * out.bits / 8;
    for (int32_t q = 0; q < block.count; ++q, bytes += kQuad * out.bits / 8) {
      RunRow<kBits>(conv, block.quads[q],
                    {conv.windows, conv.window_bytes, bytes, PixelBytes(out), count});
    }
  }
}

// Output pixels [begin, end) of a row, whose windows are inside and have rows of whole blocks.
template <int kBits>
void RunRowsInPlace(const Convolution& conv, const QuadBlock& block, int32_t y,
                    const Range& pixels) {
  const FeatureMap& in = conv.params.input;
  const FeatureMap& out = conv.params.output;
  const Window& window = conv.params.window;
  const int32_t tap_row_bytes = window.kernel_width * PixelBytes(in);
  const WindowSteps steps = {StepsOf<kBits>(tap_row_bytes), window.kernel_height,
                             window.dilation_height * in.row_bytes - tap_row_bytes};
  const uint8_t* first =
      conv.input + PixelOffset(in, y * window.stride_height - window.pad_top,
                               pixels.begin * window.stride_width - window.pad_left);
  uint8_t* bytes = conv.output + PixelOffset(out, y, pixels.begin) + block.first * out.bits / 8;
  for (int32_t q = 0; q < block.count; ++q, bytes += kQuad * out.bits / 8) {
    RunRow<kBits, Steps::kRowsOfBlocks>(block.quads[q], conv.output_lanes, steps,
                                        {first, window.stride_width * PixelBytes(in), bytes,
                                         PixelBytes(out), pixels.end - pixels.begin});
  }
}

template <int kBits>
void RunWindows(const Convolution& conv) {
  const FeatureMap& out = conv.params.output;
  const Window& window = conv.params.window;
  const InsideRanges inside = WindowsInside(conv.params.input, out, window);
  const bool has_whole_blocks = window.dilation_width == 1 &&
                                window.kernel_width * PixelBytes(conv.params.input) % kLanes == 0;
  QuadBlock block;
  for (block.first = 0; block.first < out.channels; block.first += kQuad * block.count) {
    const int32_t quads_left = (out.channels - block.first + kQuad - 1) / kQuad;
    block.count = quads_left < conv.num_quads ? quads_left : conv.num_quads;
    for (int32_t q = 0; q < block.count; ++q) {
      block.quads[q] =
          PrepareQuad(conv, block.first + q * kQuad, conv.weights + q * conv.quad_bytes);
    }
    for (int32_t y = 0; y < out.height; ++y) {
      const Range& columns = inside.columns;
      if (has_whole_blocks && columns.begin < columns.end && y >= inside.rows.begin &&
          y < inside.rows.end) {
        RunGathered<kBits>(conv, block, y, {0, columns.begin});
        RunRowsInPlace<kBits>(conv, block, y, columns);
        RunGathered<kBits>(conv, block, y, {columns.end, out.width});
      } else {
        RunGathered<kBits>(conv, block, y, {0, out.width});
      }
    }
  }
}

template <int kBits>
void Run(const Convolution& conv) {
  if (conv.windows == nullptr) {
    RunInPlace<kBits>(conv);
  } else {
    RunWindows<kBits>(conv);
  }
}

}  // namespace

void Conv2D(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
            const ChannelTable& table, uint8_t* output, uint8_t* scratch) {
  if (!IsCovered(params)) {
    reference::Conv2D(params, input, filter, table, output, scratch);
    return;
  }
  const int32_t quad_bytes = QuadBytes(params);
  const int32_t num_quads = NumQuads(params);
  const Convolution conv = {params,
                            input,
                            filter,
                            {table, params.output.channels},
                            Lanes(params.output, params.clamp),
                            output,
                            reinterpret_cast<int8_t*>(scratch),
                            NeedsGather(params) ? scratch + num_quads * quad_bytes : nullptr,
                            FilterRow(params),
                            WindowBytes(params),
                            quad_bytes,
                            num_quads};
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
