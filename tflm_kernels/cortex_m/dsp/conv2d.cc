// Convolution with the DSP extension.
//
// What is gained: the inputs of a block of output pixels are widened once (widen.h) and meet all output channels; the
// pixels of a block need not be in one row. Where activations or weights have 8 bits, two pixels meet two channels at a
// time, two products an instruction (dot.h, byte_channels.h), or four pixels a channel where filters are short. Where
// both have fewer bits, four pixels meet one channel, four products an instruction (paired.h). The last pixel is alone.
// Memory   scratch for a block: 4 bytes a tap and input channel, 8 up to 64 of them, 2 where there is but one output
//          pixel; 600 bytes of stack.
// Calls the reference for filters of more than 32 KB an output channel.

// Scheduling before register allocation makes GCC 12 spill what the loops of dot.h need.
#ifndef __clang__
#pragma GCC optimize("O2", "no-schedule-insns")
#endif

#include "tflm_kernels/cortex_m/dsp/byte_channels.h"
#include "tflm_kernels/cortex_m/dsp/gather.h"
#include "tflm_kernels/cortex_m/dsp/kernels.h"
#include "tflm_kernels/cortex_m/dsp/narrow_channels.h"
#include "tflm_kernels/cortex_m/dsp/one_pixel.h"
#include "tflm_kernels/cortex_m/dsp/scratch.h"
#include "tflm_kernels/cortex_m/dsp/widen.h"

namespace quantmcu {
namespace dsp {
namespace {

// Values of a run with those that would fill its last byte.
int32_t Slots(int32_t channels, int32_t bits) { return RunBytes(channels, bits) * 8 / bits; }

// Output pixels in row-major order, and where each stands.
struct Pixel {
  int32_t y;
  int32_t x;
  uint8_t* run;
};

void Next(const FeatureMap& output, int32_t pixel_bytes, Pixel* pixel) {
  pixel->run += pixel_bytes;
  if (++pixel->x < output.width) return;
  *pixel = {pixel->y + 1, 0, pixel->run + output.row_bytes - output.width * pixel_bytes};
}

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

// Of calls that IsRegular.
constexpr Variants kRegular = {
    {2, kStride, Widen<8, 8, kStride>::AddWholeGroups, nullptr, TwoByTwoResults},
    {4, kShortStride, Widen<8, 8, kShortStride>::AddWholeGroups, nullptr, OneByFourResults},
    {1, 1, Widen<8, 8, 1>::AddWholeGroups, nullptr, AllChannelsOfOne<8>}};

// Output pixels from which on it is worth asking for plain results.
constexpr int32_t kWorthPlainResults = 4;

class Convolution {
 public:
  Convolution(const Conv2DParams& params, const Operands& operands, const Variants& variants)
      : params_(params),
        operands_(operands),
        variants_(variants),
        filter_bytes_(FilterBytes(params)),
        slots_(Slots(params.input.channels, params.weight_bits)),
        has_row_spans_(HasRowSpans(params)),
        has_gaps_(filter_bytes_ % 4 != 0 || (!has_row_spans_ && slots_ != params.input.channels)),
        group_values_(NumGroups(filter_bytes_) * (32 / params.weight_bits)),
        row_slots_(params.window.kernel_width * slots_),
        is_gathered_(IsGathered(params)),
        pixel_bytes_(PixelBytes(params.input)) {}

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

  const uint8_t* InputAt(int32_t y, int32_t x) const {
    return operands_.input + y * params_.input.row_bytes + x * pixel_bytes_;
  }

  // The taps [begin, end) of a row of the window that lie inside the map.
  struct RowTaps {
    int32_t y;
    int32_t x;
    bool is_inside;  // the whole window
    int32_t begin;
    int32_t end;
  };

  RowTaps RowTapsOf(const Pixel& pixel) const {
    const FeatureMap& in = params_.input;
    const Window& window = params_.window;
    const int32_t y = pixel.y * window.stride_height - window.pad_top;
    const int32_t x = pixel.x * window.stride_width - window.pad_left;
    const bool is_inside =
        y >= 0 && y + (window.kernel_height - 1) * window.dilation_height < in.height && x >= 0 &&
        x + (window.kernel_width - 1) * window.dilation_width < in.width;
    return {y, x, is_inside, x < 0 ? -x : 0,
            in.width - x < window.kernel_width ? in.width - x : window.kernel_width};
  }

  // Calls visit(row, slot, count) for the rows of a window: where the first of `count` values stands, and its
  // slot.
  template <typename Visit>
  void ForEachRow(const RowTaps& taps, Visit visit) const {
    const int32_t count = (taps.end - taps.begin) * slots_;
    if (count <= 0) return;
    const Window& window = params_.window;
    const int32_t height = params_.input.height;
    const int32_t row_step = window.dilation_height * params_.input.row_bytes;
    const uint8_t* row = InputAt(taps.y, taps.x + taps.begin);
    int32_t y = taps.y;
    int32_t slot = taps.begin * slots_;
    for (int32_t left = window.kernel_height; left > 0; --left) {
      // Of a negative y no height is above it.
      if (static_cast<uint32_t>(y) < static_cast<uint32_t>(height)) visit(row, slot, count);
      y += window.dilation_height;
      row += row_step;
      slot += row_slots_;
    }
  }

  // Widens what an output pixel reads, as pixel `index` of its block; returns the sum of the values.
  int32_t WidenWindow(const Variant& variant, const Pixel& pixel, int32_t index) const {
    const FeatureMap& in = params_.input;
    const bool is_paired = variant.add_shifted_span != nullptr;
    const bool is_shifted = is_paired && index % 2 == 1;
    AddSpanFn* const add_span = is_shifted ? variant.add_shifted_span : variant.add_span;
    Column column = {
        reinterpret_cast<uint32_t*>(operands_.scratch) + (is_paired ? index / 2 : index),
        in.zero_point, 0};
    const RowTaps taps = RowTapsOf(pixel);
    if (is_gathered_) {
      Gather(taps, add_span, &column);
      return column.sum;
    }
    if ((has_gaps_ || !taps.is_inside) && !is_shifted) ClearOutside(taps, variant.stride, column);
    if (has_row_spans_) {
      // What fills up bytes between taps is widened too: the weights that it meets are 0 (format.md F2).
      ForEachRow(taps, [&](const uint8_t* row, int32_t slot, int32_t count) {
        add_span(row, slot, count, &column);
      });
    } else {
      ForEachTapInside(in, params_.window, pixel.y, pixel.x, [&](int32_t offset, int32_t tap) {
        add_span(operands_.input + offset, tap * slots_, in.channels, &column);
      });
    }
    return column.sum;
  }

  // Clears what no tap inside the map writes, or all.
  void ClearOutside(const RowTaps& taps, int32_t stride, const Column& column) const {
    const int32_t w_bits = params_.weight_bits;
    if (has_gaps_ || !has_row_spans_ || slots_ * w_bits % 32 != 0) {
      return Clear(column, NumGroups(filter_bytes_), w_bits, stride);
    }
    const Window& window = params_.window;
    const int32_t width = window.kernel_width;
    const int32_t begin = taps.begin < width ? taps.begin : width;
    const int32_t end = taps.end > begin ? taps.end : begin;
    const int32_t tap_groups = slots_ * w_bits / 32;
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

  // The rows of the window are made one, with the zero point where a tap lies outside, and widened at once.
  void Gather(const RowTaps& taps, AddSpanFn* add_span, Column* column) const {
    uint32_t words[kMaxGathered / 4];
    auto* const bytes = reinterpret_cast<uint8_t*>(words);
    const int32_t num_words = group_values_ / 4;
    for (int32_t i = taps.is_inside ? num_words - 1 : 0; i < num_words; ++i) {
      words[i] = Repeated(params_.input.zero_point);
    }
    if (taps.is_inside && row_slots_ >= 4) {
      CopyRows(InputAt(taps.y, taps.x), params_.window.dilation_height * params_.input.row_bytes,
               params_.window.kernel_height, row_slots_, bytes);
    } else {
      ForEachRow(taps, [&](const uint8_t* row, int32_t slot, int32_t count) {
        CopyBytes(row, count, bytes + slot);
      });
    }
    add_span(bytes, 0, group_values_, column);
  }

  const Conv2DParams& params_;
  const Operands operands_;
  const Variants& variants_;
  const int32_t filter_bytes_;
  const int32_t slots_;         // values of a tap, with what its run leaves unused
  const bool has_row_spans_;    // neighbouring taps are neighbours in a row of the input
  const bool has_gaps_;         // slots that no value fills
  const int32_t group_values_;  // slots of a column
  const int32_t row_slots_;     // of a row of taps
  const bool is_gathered_;
  const int32_t pixel_bytes_;
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
  Convolution(params, operands, kVariants<kInputBits, kWeightBits>).Run();
}

void Conv2DRegular(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
                   const ChannelTable& table, uint8_t* output, uint8_t* scratch) {
  Convolution(params, {input, filter, table, scratch, output}, kRegular).Run();
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
