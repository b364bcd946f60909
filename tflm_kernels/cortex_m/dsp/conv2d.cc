// Convolution with the DSP extension.
//
// What is gained: the inputs of a block of output pixels are widened once (widen.h) and meet all output channels; the
// pixels of a block need not be in one row. Where activations or weights have 8 bits, two pixels meet two channels at a
// time, two products an instruction (dot.h, byte_channels.h), or four pixels a channel where filters are short; calls
// of 8 bits that networks have are in regular_conv2d.cc. Where both have fewer bits, four pixels meet one channel, four
// products an instruction (paired.h). The last pixel is alone.
// Memory   scratch for a block: 4 bytes a tap and input channel, 8 up to 64 of them, 2 where there is but one output
//          pixel; 600 bytes of stack.
// Calls the reference for filters of more than 32 KB an output channel.

// Scheduling before register allocation makes GCC 12 spill what the loops of dot.h need.
#ifndef __clang__
#pragma GCC optimize("O2", "no-schedule-insns")
#endif

#include "tflm_kernels/cortex_m/dsp/byte_channels.h"
#include "tflm_kernels/cortex_m/dsp/kernels.h"
#include "tflm_kernels/cortex_m/dsp/narrow_channels.h"
#include "tflm_kernels/cortex_m/dsp/one_pixel.h"
#include "tflm_kernels/cortex_m/dsp/scratch.h"
#include "tflm_kernels/cortex_m/dsp/widen.h"
#include "tflm_kernels/cortex_m/dsp/windows.h"

namespace quantmcu {
namespace dsp {
namespace {

// Sums all channels of pixels whose columns stand in scratch, to runs[pixel]; column_sums[pixel]: of its values.
using AllChannelsFn = void(const Conv2DParams& params, const Operands& all_operands,
                           const int32_t* column_sums, uint8_t* const* runs);

// One pixel.
template <int kWBits>
void AllChannelsOfOne(const Conv2DParams& params, const Operands& operands,
                      const int32_t* column_sums, uint8_t* const* runs) {
  OnePixel<kWBits>(params.output, params.clamp, FilterBytes(params), operands, column_sums[0],
                   runs[0]);
}

// How a block of pixels is computed.
struct Variant {
  int32_t num_pixels;           // of a block
  int32_t stride;               // words of pixels side by side
  AddSpanFn* add_span;          // widens a pixel, or the first one of a pair
  AddSpanFn* add_shifted_span;  // widens the second one, if pixels are paired
  AllChannelsFn* all_channels;
};

// What depends on the widths.
struct Variants {
  Variant blocks;
  Variant short_blocks;  // where filters are short
  Variant one;           // the last pixel
};

template <int kABits, int kWBits>
constexpr Variants MakeVariants() {
  constexpr Variant kOne = {1, 1, Widen<kABits, kWBits, 1>::AddSpan, nullptr,
                            AllChannelsOfOne<kWBits>};
  if constexpr (kABits < 8 && kWBits < 8) {
    constexpr Variant kPaired = {kPairedPixels, kStride, Widen<kABits, kWBits, kStride>::AddSpan,
                                 Widen<kABits, kWBits, kStride, kPairedShift>::AddSpan,
                                 PairedChannels<kABits, kWBits>};
    return {kPaired, kPaired, kOne};
  } else if constexpr (kWBits < 8) {
    constexpr Variant kTwo = {2, kStride, Widen<kABits, kWBits, kStride>::AddSpan, nullptr,
                              WideChannels<kWBits>};
    return {kTwo, kTwo, kOne};
  } else {
    return {{2, kStride, Widen<kABits, 8, kStride>::AddSpan, nullptr, TwoByTwoChannels},
            {4, kShortStride, Widen<kABits, 8, kShortStride>::AddSpan, nullptr, OneByFourChannels},
            kOne};
  }
}

template <int kABits, int kWBits>
constexpr Variants kVariants = MakeVariants<kABits, kWBits>();

// Output pixels from which on it is worth asking for plain results.
constexpr int32_t kWorthPlainResults = 4;

class Convolution {
 public:
  Convolution(const Conv2DParams& params, const Operands& operands, const Variants& variants)
      : params_(params),
        windows_(params, operands.input),
        operands_(operands),
        variants_(variants),
        filter_bytes_(FilterBytes(params)),
        has_row_spans_(HasRowSpans(params)),
        has_gaps_(filter_bytes_ % 4 != 0 ||
                  (!has_row_spans_ && windows_.TapSlots() != params.input.channels)),
        group_values_(NumGroups(filter_bytes_) * (32 / params.weight_bits)),
        is_gathered_(IsGathered(params)) {}

  void Run() const {
    const FeatureMap& out = params_.output;
    const bool is_short = IsShort(params_);
    const int32_t pixel_bytes = PixelBytes(out);
    Pixel pixel = {0, 0, operands_.output};
    for (int32_t n = out.height * out.width; n > 0;) {
      const Variant& variant = n == 1     ? variants_.one
                               : is_short ? variants_.short_blocks
                                          : variants_.blocks;
      int32_t column_sums[kMaxPixels];
      uint8_t* runs[kMaxPixels];
      for (int32_t p = 0; p < variant.num_pixels; ++p) {
        column_sums[p] = WidenWindow(variant, pixel, p);
        runs[p] = pixel.run;
        if (p + 1 < n) Next(out, pixel_bytes, &pixel);  // the last one fills up its block
      }
      variant.all_channels(params_, operands_, column_sums, runs);
      n -= variant.num_pixels;
    }
  }

 private:
  static constexpr int32_t kMaxPixels = 4;

  // Widens what an output pixel reads, as pixel `index` of its block; returns the sum of the values.
  int32_t WidenWindow(const Variant& variant, const Pixel& pixel, int32_t index) const {
    const FeatureMap& in = params_.input;
    const bool is_paired = variant.add_shifted_span != nullptr;
    const bool is_shifted = is_paired && index % 2 == 1;
    AddSpanFn* const add_span = is_shifted ? variant.add_shifted_span : variant.add_span;
    Column column = {
        reinterpret_cast<uint32_t*>(operands_.scratch) + (is_paired ? index / 2 : index),
        in.zero_point, 0};
    const RowTaps taps = windows_.TapsOf(pixel.y, pixel.x);
    if (is_gathered_) {
      // The rows of the window are made one and widened at once.
      uint32_t words[kMaxGathered / 4];
      windows_.Gather(taps, group_values_ / 4, words);
      add_span(reinterpret_cast<const uint8_t*>(words), 0, group_values_, &column);
      return column.sum;
    }
    if ((has_gaps_ || !taps.is_inside) && !is_shifted) ClearOutside(taps, variant.stride, column);
    if (has_row_spans_) {
      // What fills up bytes between taps is widened too: the weights that it meets are 0 (format.md F2).
      windows_.ForEachRow(taps, [&](const uint8_t* row, int32_t slot, int32_t count) {
        add_span(row, slot, count, &column);
      });
    } else {
      ForEachTapInside(in, params_.window, pixel.y, pixel.x, [&](int32_t offset, int32_t tap) {
        add_span(operands_.input + offset, tap * windows_.TapSlots(), in.channels, &column);
      });
    }
    return column.sum;
  }

  // Clears what no tap inside the map writes, or all.
  void ClearOutside(const RowTaps& taps, int32_t stride, const Column& column) const {
    const int32_t w_bits = params_.weight_bits;
    if (has_gaps_ || !has_row_spans_ || windows_.TapSlots() * w_bits % 32 != 0) {
      return Clear(column, NumGroups(filter_bytes_), w_bits, stride);
    }
    const Window& window = params_.window;
    const int32_t width = window.kernel_width;
    const int32_t begin = taps.begin < width ? taps.begin : width;
    const int32_t end = taps.end > begin ? taps.end : begin;
    const int32_t tap_groups = windows_.TapSlots() * w_bits / 32;
    Column row = column;
    const int32_t tap_words = tap_groups * (16 / w_bits) * stride;
    for (int32_t ky = 0; ky < window.kernel_height; ++ky, row.words += width * tap_words) {
      const int32_t y = taps.y + ky * window.dilation_height;
      const bool is_inside = y >= 0 && y < params_.input.height;
      Clear(row, (is_inside ? begin : width) * tap_groups, w_bits, stride);
      if (!is_inside) continue;
      const Column rest = {row.words + end * tap_words, 0, 0};
      Clear(rest, (width - end) * tap_groups, w_bits, stride);
    }
  }

  const Conv2DParams& params_;
  const Windows windows_;
  const Operands operands_;
  const Variants& variants_;
  const int32_t filter_bytes_;
  const bool has_row_spans_;    // neighbouring taps are neighbours in a row of the input
  const bool has_gaps_;         // slots that no value fills
  const int32_t group_values_;  // slots of a column
  const bool is_gathered_;
};

}  // namespace

template <int kInputBits, int kWeightBits>
void Conv2DOf(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
              const ChannelTable& table, uint8_t* output, uint8_t* scratch) {
  Operands operands = {input, filter, table, scratch, output};
  if constexpr (kWeightBits == 8) {
    operands.has_plain_results = params.output.height * params.output.width >= kWorthPlainResults &&
                                 HasPlainResults(params.output, params.clamp, table);
  }
  if (kInputBits == 8 && operands.has_plain_results && HasRegularRows(params)) {
    return Conv2DRegular(params, input, filter, table, output, scratch);
  }
  Convolution(params, operands, kVariants<kInputBits, kWeightBits>).Run();
}

void Conv2D(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
            const ChannelTable& table, uint8_t* output, uint8_t* scratch) {
  static constexpr Conv2DFn* kOfWidths[3][3] = {{Conv2DOf<2, 2>, Conv2DOf<2, 4>, Conv2DOf<2, 8>},
                                                {Conv2DOf<4, 2>, Conv2DOf<4, 4>, Conv2DOf<4, 8>},
                                                {Conv2DOf<8, 2>, Conv2DOf<8, 4>, Conv2DOf<8, 8>}};
  Conv2DFn* const run = IsFast(params) ? AtWidths(kOfWidths, params) : reference::Conv2D;
  run(params, input, filter, table, output, scratch);
}

}  // namespace dsp
}  // namespace quantmcu
