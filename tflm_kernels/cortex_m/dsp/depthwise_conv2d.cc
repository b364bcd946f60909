// Depthwise convolution with the DSP extension.
//
// What is gained: four channels go over the whole of a rectangle of output pixels before the next ones,
// with their weights unpacked once on the stack. Two taps of a channel are multiplied by one
// instruction (depthwise_pairs.h), or three where activations and weights have 4 or 2 bits and the
// window three columns (depthwise_columns.h).
// 8-bit maps with 3x3 windows that move by 1 are widened row by row first (depthwise_rows.h), where that
// takes less time and all factors are below 1/2. Otherwise the map is cut into rectangles of output pixels
// whose windows have the same taps inside (nine of them for a 3x3 window with padding): within one, nothing
// asks where the border is.
// Memory   scratch where rows are widened: three rows of four channels, 2 bytes a value, or 1 KB, and 4 bytes a pixel of
//          the output rows at once; about 1.4 KB of stack.
// Calls the reference for more than 49 taps.

// Scheduling before register allocation makes GCC 12 spill what the loops need.
#ifndef __clang__
#pragma GCC optimize("O2", "no-schedule-insns")
#endif

#include "tflm_kernels/cortex_m/dsp/depthwise_block.h"
#include "tflm_kernels/cortex_m/dsp/depthwise_columns.h"
#include "tflm_kernels/cortex_m/dsp/depthwise_pairs.h"
#include "tflm_kernels/cortex_m/dsp/depthwise_rows.h"
#include "tflm_kernels/cortex_m/dsp/kernels.h"
#include "tflm_kernels/cortex_m/dsp/segments.h"

namespace quantmcu {
namespace dsp {
namespace {

template <bool kIsWhole>
class Rectangle;

// What depends on the widths.
struct Variant {
  OutputPixelsFn* nine_taps;
  OutputPixelsFn* any_taps;
  OutputPixelsFn* shared;  // of one input channel; null where no call has such
  // By depthwise_columns.h; null where it has none. False if the rectangle, or the block's weights are not for it.
  bool (*has_columns)(const Rectangle<false>& rectangle) = nullptr;
  bool (*columns)(const Rectangle<false>& rectangle, const BlockStore& store, const Block& block,
                  Pixels pixels) = nullptr;
};

// Output pixels whose windows have the same taps inside. kIsWhole: of calls that are.
template <bool kIsWhole>
class Rectangle {
 public:
  [[gnu::always_inline]] Rectangle(const Depthwise& conv, const Variant& variant,
                                   const Segment& rows, const Segment& columns)
      : conv_(conv),
        variant_(variant),
        rows_(rows),
        columns_(columns),
        tap_row_bytes_(conv.params.window.dilation_height * conv.params.input.row_bytes),
        tap_bytes_(conv.params.window.dilation_width * PixelBytes(conv.params.input)),
        pixels_(AllPixels()) {}

  void Output() {
    const FeatureMap& in = conv_.params.input;
    bool has_columns = false;
    if constexpr (!kIsWhole) {
      has_columns = variant_.has_columns != nullptr && variant_.has_columns(*this);
    }
    const int32_t multiplier = conv_.params.depth_multiplier;
    SetOffsets(tap_row_bytes_, tap_bytes_);
    const int32_t channels = conv_.params.output.channels;
    for (int32_t begin = 0, end; begin < channels; begin = end) {
      const Block block(conv_, begin);
      end = begin + block.count;
      const BlockStore store(conv_, block);
      const int32_t first_bit = begin / multiplier * in.bits;
      Pixels pixels = pixels_;
      pixels.first = AddressAt(pixels.first, first_bit / 8);
      if (block.is_whole) pixels.output += begin * conv_.params.output.bits / 8;
      if constexpr (!kIsWhole) {
        if (multiplier == 1 && block.count < kLanes) {
          OutputShort(store, block, pixels);
          continue;
        }
        if (has_columns && variant_.columns(*this, store, block, pixels)) continue;
      }
      SetWeights(block);
      OutputPixelsFn* const output = multiplier > 1     ? variant_.shared
                                     : taps_.count == 9 ? variant_.nine_taps
                                                        : variant_.any_taps;
      output(store, taps_, pixels, first_bit % 8);
    }
  }

  // Whether depthwise_columns.h has this.
  static bool HasColumns(const Rectangle& r) {
    const Window& w = r.conv_.params.window;
    return r.conv_.params.depth_multiplier == 1 && w.kernel_width == kSumColumns &&
           r.columns_.last_tap - r.columns_.first_tap == kSumColumns &&
           r.rows_.last_tap > r.rows_.first_tap &&
           r.rows_.last_tap - r.rows_.first_tap <= kSumRows && w.stride_width == w.dilation_width &&
           // In tens of instructions: 3 a pixel less, 7 a row and 30 a block more than pairs of taps.
           r.pixels_.height * (3 * r.pixels_.width - 7) > 30;
  }

  template <int kABits>
  static bool OutputColumns(const Rectangle& r, const BlockStore& store, const Block& block,
                            Pixels pixels) {
    SumTaps taps;
    if (!DepthwiseColumns<kABits>::SetTaps(r.conv_, block, r.rows_.first_tap, r.rows_.last_tap,
                                           r.tap_row_bytes_, r.tap_bytes_, &taps)) {
      return false;
    }
    pixels.first = AddressAt(pixels.first, r.rows_.first_tap * r.tap_row_bytes_);
    DepthwiseColumns<kABits>::Output(store, taps, pixels);
    return true;
  }

 private:
  [[gnu::always_inline]] Pixels AllPixels() const {
    const FeatureMap& in = conv_.params.input;
    const FeatureMap& out = conv_.params.output;
    const Window& w = conv_.params.window;
    const int32_t first = PixelOffset(in, rows_.begin * w.stride_height - w.pad_top,
                                      columns_.begin * w.stride_width - w.pad_left);
    return {rows_.end - rows_.begin,
            columns_.end - columns_.begin,
            AddressAt(AddressOf(conv_.input), first),
            w.stride_width * PixelBytes(in),
            w.stride_height * in.row_bytes,
            conv_.output + PixelOffset(out, rows_.begin, columns_.begin),
            PixelBytes(out),
            out.row_bytes};
  }

  // A block of fewer than four channels. Its taps are copied, so that nothing behind the map is read.
  [[gnu::cold, gnu::noinline]] void OutputShort(const BlockStore& store, const Block& block,
                                                const Pixels& pixels) {
    const int32_t bits = conv_.params.input.bits;
    const int32_t width = conv_.params.window.kernel_width;
    uint8_t values[kMaxTaps][kLanes];
    SetOffsets(width * kLanes, kLanes);
    SetWeights(block);
    Pixels pixel = {1, 1, AddressOf(values), 0, 0, nullptr, 0, 0};
    for (int32_t y = 0; y < pixels.height; ++y) {
      for (int32_t x = 0; x < pixels.width; ++x) {
        const uint32_t first = AddressAt(pixels.first, y * pixels.row_step + x * pixels.step);
        for (int32_t ky = rows_.first_tap; ky < rows_.last_tap; ++ky) {
          for (int32_t kx = columns_.first_tap; kx < columns_.last_tap; ++kx) {
            const uint32_t tap = AddressAt(first, ky * tap_row_bytes_ + kx * tap_bytes_);
            memcpy(values[ky * width + kx], reinterpret_cast<const uint8_t*>(tap),
                   static_cast<size_t>(RunBytes(block.count, bits)));
          }
        }
        pixel.output = pixels.output + y * pixels.output_row_step + x * pixels.output_step;
        variant_.any_taps(store, taps_, pixel, 0);
      }
    }
  }

  [[gnu::noinline]] void SetOffsets(int32_t row_bytes, int32_t column_bytes) {
    const int32_t width = conv_.params.window.kernel_width;
    int32_t n = 0;
    for (int32_t ky = rows_.first_tap; ky < rows_.last_tap; ++ky) {
      for (int32_t kx = columns_.first_tap; kx < columns_.last_tap; ++kx, ++n) {
        // The second tap of the last pair may have weight 0.
        uint32_t* offsets = taps_.pairs[n / 2].offsets;
        offsets[n % 2] = offsets[1] = static_cast<uint32_t>(ky * row_bytes + kx * column_bytes);
        tap_numbers_[n] = static_cast<uint8_t>(ky * width + kx);
      }
    }
    taps_.count = n;
  }

  void SetWeights(const Block& block) {
    return kIsWhole || block.HasWords() ? SetWeights<true>(block) : SetWeights<false>(block);
  }

  template <bool kHasWords>
  [[gnu::noinline]] void SetWeights(const Block& block) {
    const auto weights_of = [&](int32_t tap) {
      return kHasWords ? block.WholeWeights(tap) : block.Weights(tap);
    };
    const uint8_t* number = tap_numbers_;
    TapPair* pair = taps_.pairs;
    uint32_t even_sums = 0;  // of lanes 0 and 2
    uint32_t odd_sums = 0;
    for (int32_t left = taps_.count; left > 0; left -= 2) {
      const uint32_t first = weights_of(*number++);
      const uint32_t second = left > 1 ? weights_of(*number++) : 0;
      PairLanes(first, second, pair->weights);
      ++pair;
      even_sums = Sxtab16(Sxtab16(even_sums, first), second);
      odd_sums = Sxtab16Ror8(Sxtab16Ror8(odd_sums, first), second);
    }
    const FeatureMap& in = conv_.params.input;
    const uint32_t minus_zero = static_cast<uint32_t>(-in.zero_point - AddedToValues(in.bits));
    const FourSums bias = block.Bias(conv_);
    taps_.bias = {Smlabb(even_sums, minus_zero, bias.s0), Smlabb(odd_sums, minus_zero, bias.s1),
                  Smlatb(even_sums, minus_zero, bias.s2), Smlatb(odd_sums, minus_zero, bias.s3)};
  }

  const Depthwise& conv_;
  const Variant& variant_;
  const Segment rows_;
  const Segment columns_;
  const int32_t tap_row_bytes_;
  const int32_t tap_bytes_;
  const Pixels pixels_;
  Taps taps_;
  uint8_t tap_numbers_[kMaxTaps];  // of the taps inside
};

template <int kABits, int kWBits>
constexpr Variant MakeVariant() {
  Variant variant = {OutputPixels<kABits, 9, false>, OutputPixels<kABits, 0, false>,
                     OutputPixels<kABits, 0, true>};
  if constexpr (kABits < 8 && kWBits < 8) {
    variant.has_columns = Rectangle<false>::HasColumns;
    variant.columns = Rectangle<false>::OutputColumns<kABits>;
  }
  return variant;
}

template <int kABits, int kWBits>
constexpr Variant kVariant = MakeVariant<kABits, kWBits>();

// Of calls that IsWhole; `shared` is null for those that IsRegular.
constexpr Variant MakeWhole(OutputPixelsFn* shared) {
  return {OutputPixels<8, 9, false, true>, OutputPixels<8, 0, false, true>, shared};
}

constexpr Variant kRegular = MakeWhole(nullptr);
constexpr Variant kWhole = MakeWhole(OutputPixels<8, 0, true, true>);

template <bool kIsWhole>
[[gnu::cold]] void Run(const Depthwise& conv, const Variant& variant) {
  const FeatureMap& in = conv.params.input;
  const FeatureMap& out = conv.params.output;
  const Window& w = conv.params.window;
  const Axis y_axis = {in.height,       out.height,        w.kernel_height,
                       w.stride_height, w.dilation_height, w.pad_top};
  const Axis x_axis = {in.width,       out.width,        w.kernel_width,
                       w.stride_width, w.dilation_width, w.pad_left};
  Segment rows;
  Segment columns;
  for (int32_t oy = 0; oy < out.height; oy = rows.end) {
    rows = SegmentAt(y_axis, oy);
    for (int32_t ox = 0; ox < out.width; ox = columns.end) {
      columns = SegmentAt(x_axis, ox);
      Rectangle<kIsWhole>(conv, variant, rows, columns).Output();
    }
  }
}

[[gnu::cold]] void RunWhole(const Depthwise& conv, const Variant& variant, uint8_t* scratch) {
  if (!HasRows(conv.params)) return Run<true>(conv, variant);
  const DepthwiseRowsPlan plan = RowsPlanOf(conv.params);
  DepthwiseRows<true>(conv, plan, scratch).Run();
}

}  // namespace

template <int kInputBits, int kWeightBits>
[[gnu::cold]] void DepthwiseConv2DOf(const DepthwiseConv2DParams& params, const uint8_t* input,
                                     const uint8_t* filter, const ChannelTable& table,
                                     uint8_t* output, [[maybe_unused]] uint8_t* scratch) {
  const Depthwise conv = {params, input, filter, table, output};
  if constexpr (kInputBits == 8) {
    if (HasRows(params) && HasSmallFactors(table, params.output.channels)) {
      const DepthwiseRowsPlan plan = RowsPlanOf(params);
      DepthwiseRows<false>(conv, plan, scratch).Run();
      return;
    }
  }
  Run<false>(conv, kVariant<kInputBits, kWeightBits>);
}

[[gnu::cold]] void DepthwiseConv2DRegular(const DepthwiseConv2DParams& params, const uint8_t* input,
                                          const uint8_t* filter, const ChannelTable& table,
                                          uint8_t* output, uint8_t* scratch) {
  RunWhole({params, input, filter, table, output}, kRegular, scratch);
}

[[gnu::cold]] void DepthwiseConv2DWhole(const DepthwiseConv2DParams& params, const uint8_t* input,
                                        const uint8_t* filter, const ChannelTable& table,
                                        uint8_t* output, uint8_t* scratch) {
  RunWhole({params, input, filter, table, output}, kWhole, scratch);
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

}  // namespace dsp
}  // namespace quantmcu
