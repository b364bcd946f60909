// Convolution with the DSP extension.
//
// What is gained: the inputs of a block of output pixels are widened once (widen.h) and meet all
// output channels; the pixels of a block need not be in one row. Where activations or weights have 8
// bits, two pixels meet two channels at a time, two products an instruction (dot.h). Elsewhere
// four pixels meet one channel, four products an instruction (paired.h).
// Memory   scratch for a block: 4 bytes a tap and input channel.
// Calls the reference for filters of more than 32 KB an output channel.

// Scheduling before register allocation makes GCC 12 spill what the loops of dot.h need.
#ifndef __clang__
#pragma GCC optimize("O2", "no-schedule-insns")
#endif

#include "tflm_kernels/cortex_m/dsp/dot.h"
#include "tflm_kernels/cortex_m/dsp/fixed_point.h"
#include "tflm_kernels/cortex_m/dsp/kernels.h"
#include "tflm_kernels/cortex_m/dsp/operands.h"
#include "tflm_kernels/cortex_m/dsp/paired.h"
#include "tflm_kernels/cortex_m/dsp/scratch.h"
#include "tflm_kernels/cortex_m/dsp/store_pixels.h"
#include "tflm_kernels/cortex_m/dsp/store_quad.h"
#include "tflm_kernels/cortex_m/dsp/widen.h"

namespace quantmcu {
namespace dsp {
namespace {

// Values of a run with those that would fill its last byte.
int32_t Slots(int32_t channels, int32_t bits) { return RunBytes(channels, bits) * 8 / bits; }

// Output pixels in row-major order.
struct Pixel {
  int32_t y;
  int32_t x;
};

Pixel Next(const Pixel& pixel, int32_t width) {
  return pixel.x + 1 == width ? Pixel{pixel.y + 1, 0} : Pixel{pixel.y, pixel.x + 1};
}

// Sums all output channels of a block of pixels whose columns stand in scratch, and stores them at
// runs[pixel]; column_sums[pixel]: of the column's values.
using AllChannelsFn = void(const Conv2DParams& params, const Operands& all_operands,
                           const int32_t* column_sums, uint8_t* const* runs);

// Four pixels, a channel at a time.
template <int kABits, int kWBits>
void PairedChannels(const Conv2DParams& params, const Operands& all_operands,
                    const int32_t* column_sums, uint8_t* const* runs) {
  using P = PairedDots<kABits, kWBits>;
  PixelsStore store(params.output, params.clamp, runs);
  const int32_t offset = P::Offset(params.input.zero_point);
  const Operands operands = all_operands;
  const int32_t num_channels = params.output.channels;
  const int32_t filter_bytes = FilterBytes(params);
  const uint32_t* const columns = reinterpret_cast<const uint32_t*>(operands.scratch);
  int32_t starts[kPairedPixels];
  for (int p = 0; p < kPairedPixels; ++p) {
    const int32_t correction =
        -column_sums[p] * Widening<kWBits>::kWeightOffset - offset * P::NumChunks(filter_bytes);
    starts[p] = P::Start(correction, p);
  }
  const uint8_t* filter = operands.filter;
  const auto put = [&](const int32_t(&sums)[kPairedPixels], int32_t o) {
    const int32_t bias = operands.table.bias[o];
    store.Put({WrappingAdd(bias, sums[0]), WrappingAdd(bias, sums[1]), WrappingAdd(bias, sums[2]),
               WrappingAdd(bias, sums[3])},
              FactorOf(operands.table, o));
  };
  int32_t o = 0;
  for (; o + P::kChannels <= num_channels; o += P::kChannels) {
    int32_t sums[P::kChannels][kPairedPixels];
    P::Sum(filter, filter_bytes, columns, offset, starts, sums);
    filter += P::kChannels * filter_bytes;
    put(sums[0], o);
    if constexpr (P::kChannels == 2) put(sums[1], o + 1);
  }
  if (P::kChannels == 2 && o < num_channels) {
    int32_t sums[1][kPairedPixels];
    P::Sum(filter, filter_bytes, columns, offset, starts, sums);
    put(sums[0], o);
  }
  store.Finish();
}

// Two pixels, two channels at a time.
template <int kWBits>
void WideChannels(const Conv2DParams& params, const Operands& all_operands,
                  const int32_t* column_sums, uint8_t* const* runs) {
  QuadStore store(params.output, params.clamp, runs[0], runs[1]);
  const Operands operands = all_operands;
  const int32_t last = params.output.channels - 1;
  const int32_t filter_bytes = FilterBytes(params);
  const uint32_t* const columns = reinterpret_cast<const uint32_t*>(operands.scratch);
  const int32_t corrections[2] = {-column_sums[0] * Widening<kWBits>::kWeightOffset,
                                  -column_sums[1] * Widening<kWBits>::kWeightOffset};
  const uint8_t* filter = operands.filter;
  for (int32_t o = 0; o < last; o += 2) {
    int32_t sums[2][2] = {{0, 0}, {0, 0}};
    Dots<kWBits, 2, 2>::Add(filter, filter_bytes, columns, sums);
    filter += 2 * filter_bytes;
    const int32_t* bias = operands.table.bias + o;
    store.Put({WrappingAdd(sums[0][0], WrappingAdd(bias[0], corrections[0])),
               WrappingAdd(sums[0][1], WrappingAdd(bias[0], corrections[1])),
               WrappingAdd(sums[1][0], WrappingAdd(bias[1], corrections[0])),
               WrappingAdd(sums[1][1], WrappingAdd(bias[1], corrections[1]))},
              FactorOf(operands.table, o), FactorOf(operands.table, o + 1));
  }
  if (last % 2 == 0) {
    int32_t sums[1][2] = {{0, 0}};
    Dots<kWBits, 1, 2>::Add(filter, filter_bytes, columns, sums);
    store.PutLast(WrappingAdd(sums[0][0], WrappingAdd(operands.table.bias[last], corrections[0])),
                  WrappingAdd(sums[0][1], WrappingAdd(operands.table.bias[last], corrections[1])),
                  FactorOf(operands.table, last));
  }
}

// What depends on the widths.
struct Variant {
  int32_t num_pixels;           // of a block
  AddSpanFn* add_span;          // widens the first pixel of a pair, or any
  AddSpanFn* add_shifted_span;  // widens the second one
  AllChannelsFn* all_channels;
};

template <int kABits, int kWBits>
constexpr Variant MakeVariant() {
  if constexpr (kABits < 8 && kWBits < 8) {
    return {kPairedPixels, Widen<kABits, kWBits, kStride>::AddSpan,
            Widen<kABits, kWBits, kStride, kPairedShift>::AddSpan, PairedChannels<kABits, kWBits>};
  } else {
    return {2, Widen<kABits, kWBits, kStride>::AddSpan, nullptr, WideChannels<kWBits>};
  }
}

constexpr Variant kVariants[3][3] = {
    {MakeVariant<2, 2>(), MakeVariant<2, 4>(), MakeVariant<2, 8>()},
    {MakeVariant<4, 2>(), MakeVariant<4, 4>(), MakeVariant<4, 8>()},
    {MakeVariant<8, 2>(), MakeVariant<8, 4>(), MakeVariant<8, 8>()}};

const Variant& VariantOf(const Conv2DParams& params) {
  return kVariants[params.input.bits >> 2][params.weight_bits >> 2];  // 2, 4, 8 -> 0, 1, 2
}

class Convolution {
 public:
  Convolution(const Conv2DParams& params, const Operands& operands)
      : params_(params),
        operands_(operands),
        variant_(VariantOf(params)),
        filter_bytes_(FilterBytes(params)),
        slots_(Slots(params.input.channels, params.weight_bits)),
        has_row_spans_(params.window.dilation_width == 1 &&
                       slots_ == Slots(params.input.channels, params.input.bits)),
        has_gaps_(filter_bytes_ % 4 != 0 || (!has_row_spans_ && slots_ != params.input.channels)) {}

  void Run() const {
    const FeatureMap& out = params_.output;
    Pixel pixel = {0, 0};
    for (int32_t n = out.height * out.width; n > 0; n -= variant_.num_pixels) {
      int32_t column_sums[kPairedPixels];
      uint8_t* runs[kPairedPixels];
      for (int32_t p = 0; p < variant_.num_pixels; ++p) {
        column_sums[p] = WidenWindow(pixel, p);
        runs[p] = operands_.output + PixelOffset(out, pixel.y, pixel.x);
        if (p + 1 < n) pixel = Next(pixel, out.width);  // the last one fills up its block
      }
      variant_.all_channels(params_, operands_, column_sums, runs);
    }
  }

 private:
  // Widens what an output pixel reads, as pixel `index` of its block; returns the sum of the values.
  int32_t WidenWindow(const Pixel& pixel, int32_t index) const {
    const FeatureMap& in = params_.input;
    const Window& window = params_.window;
    const bool is_shifted = variant_.num_pixels == kPairedPixels && index % 2 == 1;
    const int32_t place = variant_.num_pixels == kPairedPixels ? index / 2 : index;
    AddSpanFn* const add_span = is_shifted ? variant_.add_shifted_span : variant_.add_span;
    Column column = {reinterpret_cast<uint32_t*>(operands_.scratch) + place, in.zero_point, 0};
    const int32_t iy0 = pixel.y * window.stride_height - window.pad_top;
    const int32_t ix0 = pixel.x * window.stride_width - window.pad_left;
    const bool is_inside =
        iy0 >= 0 && iy0 + (window.kernel_height - 1) * window.dilation_height < in.height &&
        ix0 >= 0 && ix0 + (window.kernel_width - 1) * window.dilation_width < in.width;
    if ((has_gaps_ || !is_inside) && !is_shifted) {
      Clear(column, NumGroups(filter_bytes_), params_.weight_bits, kStride);
    }
    if (!has_row_spans_) {
      ForEachTapInside(in, window, pixel.y, pixel.x, [&](int32_t pixel_offset, int32_t tap) {
        add_span(operands_.input + pixel_offset, tap * slots_, in.channels, &column);
      });
      return column.sum;
    }
    // What fills up bytes between taps is widened too: the weights that it meets are 0 (format.md F2).
    const int32_t begin = ix0 < 0 ? -ix0 : 0;
    const int32_t end = in.width - ix0 < window.kernel_width ? in.width - ix0 : window.kernel_width;
    if (begin >= end) return 0;
    int32_t iy = iy0;
    for (int32_t ky = 0; ky < window.kernel_height; ++ky, iy += window.dilation_height) {
      if (iy < 0 || iy >= in.height) continue;
      add_span(operands_.input + PixelOffset(in, iy, ix0 + begin),
               (ky * window.kernel_width + begin) * slots_, (end - begin) * slots_, &column);
    }
    return column.sum;
  }

  const Conv2DParams& params_;
  const Operands operands_;
  const Variant& variant_;
  const int32_t filter_bytes_;
  const int32_t slots_;       // values of a tap, with what its run leaves unused
  const bool has_row_spans_;  // neighbouring taps are neighbours in a row of the input
  const bool has_gaps_;       // slots that no value fills
};

}  // namespace

void Conv2D(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
            const ChannelTable& table, uint8_t* output, uint8_t* scratch) {
  if (FilterBytes(params) > kMaxPairedFilterBytes) {
    reference::Conv2D(params, input, filter, table, output, scratch);
    return;
  }
  Convolution(params, {input, filter, table, scratch, output}).Run();
}

}  // namespace dsp
}  // namespace quantmcu
