// Depthwise convolution without DSP.
//
// What is gained: the map is cut into rectangles of output pixels whose windows have the same taps inside (nine of them
// for a 3x3 window with padding). A channel goes over the whole of one before the next, with its weights unpacked once
// on the stack beside the taps' offsets, and the zero point in its bias. Rectangles of a few pixels are made pixel by
// pixel (depthwise_pixels.h).
// Memory   about 1 KB of stack.
// Calls the reference for more than 49 taps.
#include "tflm_kernels/cortex_m/plain/depthwise_pixels.h"
#include "tflm_kernels/cortex_m/plain/fixed_point.h"
#include "tflm_kernels/cortex_m/plain/is_fast.h"
#include "tflm_kernels/cortex_m/plain/kernels.h"
#include "tflm_kernels/cortex_m/plain/segments.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace plain {
namespace {

constexpr int32_t kTapsAtATime = 3;

struct Tap {
  int32_t offset;  // bytes from where the window begins
  int32_t weight;
};

// The taps inside, and behind them as many of weight 0 as fill up kTapsAtATime; where none is, all are of weight 0.
struct Taps {
  Tap taps[kMaxTaps + kTapsAtATime - 1];
  uint8_t numbers[kMaxTaps];
  int32_t count;
  int32_t filled;
};

// An output channel over a rectangle of pixels.
struct Channel {
  const Tap* taps;
  const Tap* taps_end;
  const uint8_t* input;  // may lie outside of the map, as the taps' offsets lead back
  int32_t left_shift;    // of a byte, so that the value's sign is the word's
  int32_t step;
  int32_t row_step;
  int32_t width;
  int32_t height;
  int32_t bias;
  FixedPoint factor;
  int32_t zero_point;
  Clamp clamp;
  uint8_t* output;
  int32_t channel;
  int32_t output_bits;
  int32_t output_step;
  int32_t output_row_step;
};

template <int kBits>
inline int32_t Value(const uint8_t* byte, int32_t left_shift) {
  if constexpr (kBits == 8) return static_cast<int8_t>(*byte);
  return static_cast<int32_t>(uint32_t{*byte} << left_shift) >> (32 - kBits);
}

// sum + what the taps make of x; at least kTapsAtATime.
template <int kBits>
inline int32_t AddTaps(int32_t sum, const uint8_t* x, int32_t left_shift, const Tap* tap,
                       const Tap* end) {
  do {
    sum += Value<kBits>(x + tap[0].offset, left_shift) * tap[0].weight;
    sum += Value<kBits>(x + tap[1].offset, left_shift) * tap[1].weight;
    sum += Value<kBits>(x + tap[2].offset, left_shift) * tap[2].weight;
    tap += kTapsAtATime;
  } while (tap != end);
  return sum;
}

#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'

// Offsets and weights by LDM, of which compilers make LDRs.
template <>
inline int32_t AddTaps<8>(int32_t sum, const uint8_t* x, int32_t /*left_shift*/, const Tap* tap,
                          const Tap* end) {
#if __ARM_ARCH_ISA_THUMB == 1
#define QUANTMCU_TAP          \
  "ldmia %[tap]!, {r4, r5}\n" \
  "ldrsb r4, [%[x], r4]\n"    \
  "muls r4, r5\n"             \
  "adds %[sum], %[sum], r4\n"
  asm(".syntax unified\n"
      "1:\n" QUANTMCU_TAP QUANTMCU_TAP QUANTMCU_TAP
      "cmp %[tap], %[end]\n"
      "bne 1b\n"
      : [sum] "+l"(sum), [tap] "+l"(tap)
      : [x] "l"(x), [end] "r"(end)
      : "r4", "r5", "cc", "memory");
#undef QUANTMCU_TAP
#else
  asm("1:\n"
      "ldmia %[tap]!, {r4, r5, r6, r8, r9, r10}\n"
      "ldrsb r4, [%[x], r4]\n"
      "ldrsb r6, [%[x], r6]\n"
      "ldrsb r9, [%[x], r9]\n"
      "mla %[sum], r4, r5, %[sum]\n"
      "mla %[sum], r6, r8, %[sum]\n"
      "mla %[sum], r9, r10, %[sum]\n"
      "cmp %[tap], %[end]\n"
      "bne 1b\n"
      : [sum] "+r"(sum), [tap] "+r"(tap)
      : [x] "r"(x), [end] "r"(end)
      : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory");
#endif
  return sum;
}

#endif

// kOutputBits: 8, or 0 for any.
template <int kBits, int kOutputBits>
void OutputChannelTo(const Channel& from) {
  const Channel c = from;  // a copy, which no store can change
  const Rescaling by = {c.zero_point, c.clamp};
  const int32_t right = -1 - c.factor.shift;
  const uint8_t* row = c.input;
  uint8_t* output_row = c.output;
  for (int32_t y = c.height; y > 0; --y, row += c.row_step, output_row += c.output_row_step) {
    const uint8_t* x = row;
    uint8_t* output = output_row;
    for (int32_t n = c.width; n > 0; --n, x += c.step, output += c.output_step) {
      const int32_t sum = AddTaps<kBits>(c.bias, x, c.left_shift, c.taps, c.taps_end);
      const int32_t y =
          right >= 0 ? MultiplyShifted(sum, c.factor.multiplier, right) : MultiplyBy(sum, c.factor);
      if constexpr (kOutputBits == 8) {
        *output = static_cast<uint8_t>(by.Clamped(y));
      } else {
        StoreValue(output, c.channel, c.output_bits, by.Clamped(y));
      }
    }
  }
}

template <int kBits>
void OutputChannel(const Channel& channel) {
  if (channel.output_bits == 8) return OutputChannelTo<kBits, 8>(channel);
  OutputChannelTo<kBits, 0>(channel);
}

using OutputChannelFn = void(const Channel& channel);

void SetOffsets(const DepthwiseConv2DParams& params, const Segment& rows, const Segment& columns,
                Taps* taps) {
  const Window& w = params.window;
  const int32_t row_bytes = w.dilation_height * params.input.row_bytes;
  const int32_t tap_bytes = w.dilation_width * PixelBytes(params.input);
  int32_t n = 0;
  for (int32_t ky = rows.first_tap; ky < rows.last_tap; ++ky) {
    for (int32_t kx = columns.first_tap; kx < columns.last_tap; ++kx, ++n) {
      taps->taps[n].offset = ky * row_bytes + kx * tap_bytes;
      taps->numbers[n] = static_cast<uint8_t>(ky * w.kernel_width + kx);
    }
  }
  taps->count = n;
  const int32_t any_offset = n > 0 ? taps->taps[0].offset : 0;
  for (; n == 0 || n % kTapsAtATime != 0; ++n) taps->taps[n] = {any_offset, 0};
  taps->filled = n;
}

// Returns the sum of the weights.
int32_t SetWeights(const uint8_t* filter, int32_t tap_bytes, int32_t channel, int32_t bits,
                   Taps* taps) {
  int32_t sum = 0;
  for (int32_t n = 0; n < taps->count; ++n) {
    const uint8_t* run = filter + taps->numbers[n] * tap_bytes;
    const int32_t weight =
        bits == 8 ? static_cast<int8_t>(run[channel]) : LoadValue(run, channel, bits);
    taps->taps[n].weight = weight;
    sum += weight;
  }
  return sum;
}

// A rectangle whose first window begins at `input`.
[[gnu::noinline]] void OutputPixels(const DepthwiseConv2DParams& params, const Segment& rows,
                                    const Segment& columns, const Taps& taps, const uint8_t* input,
                                    const uint8_t* filter, const ChannelTable& table,
                                    uint8_t* output) {
  TapOffsets offsets[kMaxTaps];
  for (int32_t n = 0; n < taps.count; ++n) {
    offsets[n] = {taps.taps[n].offset, taps.numbers[n] * params.output.channels};
  }
  const Window& w = params.window;
  for (int32_t y = 0; y < rows.end - rows.begin; ++y) {
    for (int32_t x = 0; x < columns.end - columns.begin; ++x) {
      OutputPixel(
          params, input + PixelOffset(params.input, y * w.stride_height, x * w.stride_width),
          filter, offsets, offsets + taps.count, table, output + PixelOffset(params.output, y, x));
    }
  }
}

void Run(const DepthwiseConv2DParams& params, OutputChannelFn* output_channel, const uint8_t* input,
         const uint8_t* filter, const ChannelTable& table, uint8_t* output) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  const Window& w = params.window;
  const int32_t filter_tap_bytes = RunBytes(out.channels, params.weight_bits);
  const Axis y_axis = RowsOf(in, out, w);
  const Axis x_axis = ColumnsOf(in, out, w);
  const bool takes_pixels = TakesPixels(params);
  Taps taps;
  Segment rows, columns;
  for (int32_t oy = 0; oy < out.height; oy = rows.end) {
    rows = SegmentAt(y_axis, oy);
    for (int32_t ox = 0; ox < out.width; ox = columns.end) {
      columns = SegmentAt(x_axis, ox);
      SetOffsets(params, rows, columns, &taps);
      const int32_t first =
          PixelOffset(in, oy * w.stride_height - w.pad_top, ox * w.stride_width - w.pad_left);
      uint8_t* pixel = output + PixelOffset(out, oy, ox);
      const int32_t num_pixels = (rows.end - rows.begin) * (columns.end - columns.begin);
      if (takes_pixels && num_pixels < kManyPixels && InRange(taps.count, 1, kFewTaps)) {
        OutputPixels(params, rows, columns, taps, input + first, filter, table, pixel);
        continue;
      }
      // Where no tap is inside, what those of weight 0 read is any byte.
      const bool is_outside = taps.count == 0;
      const uint8_t* x = is_outside ? taps.numbers : input + first;
      const int32_t step = is_outside ? 0 : w.stride_width * PixelBytes(in);
      const int32_t row_step = is_outside ? 0 : w.stride_height * in.row_bytes;
      for (int32_t o = 0, i = 0, left = params.depth_multiplier; o < out.channels; ++o) {
        const int32_t weights = SetWeights(filter, filter_tap_bytes, o, params.weight_bits, &taps);
        const int32_t first_bit = i * in.bits;
        output_channel({taps.taps, taps.taps + taps.filled, is_outside ? x : x + first_bit / 8,
                        32 - in.bits - first_bit % 8, step, row_step, columns.end - columns.begin,
                        rows.end - rows.begin, WrappingAdd(table.bias[o], -in.zero_point * weights),
                        FactorOf(table, o), out.zero_point, params.clamp,
                        out.bits == 8 ? pixel + o : pixel, o, out.bits, PixelBytes(out),
                        out.row_bytes});
        if (--left == 0) {
          ++i;
          left = params.depth_multiplier;
        }
      }
    }
  }
}

}  // namespace

template <int kInputBits, int kWeightBits>
void DepthwiseConv2DOf(const DepthwiseConv2DParams& params, const uint8_t* input,
                       const uint8_t* filter, const ChannelTable& table, uint8_t* output,
                       uint8_t* /*scratch*/) {
  Run(params, OutputChannel<kInputBits>, input, filter, table, output);
}

void DepthwiseConv2D(const DepthwiseConv2DParams& params, const uint8_t* input,
                     const uint8_t* filter, const ChannelTable& table, uint8_t* output,
                     uint8_t* scratch) {
  static constexpr DepthwiseConv2DFn* kOfWidths[3][3] = {
      {DepthwiseConv2DOf<2, 2>, DepthwiseConv2DOf<2, 4>, DepthwiseConv2DOf<2, 8>},
      {DepthwiseConv2DOf<4, 2>, DepthwiseConv2DOf<4, 4>, DepthwiseConv2DOf<4, 8>},
      {DepthwiseConv2DOf<8, 2>, DepthwiseConv2DOf<8, 4>, DepthwiseConv2DOf<8, 8>}};
  DepthwiseConv2DFn* const run =
      IsFast(params) ? AtWidths(kOfWidths, params) : reference::DepthwiseConv2D;
  run(params, input, filter, table, output, scratch);
}

}  // namespace plain
}  // namespace quantmcu
