// Convolutions that IsRegular, with the DSP extension.
//
// What is gained: what is the same for all blocks of pixels is found once, and the windows of a block that lie side by
// side are widened together, word by word behind one another.
// Memory   as of conv2d.cc.
// What is cold runs once a call, once a row of pixels or for few pixels, and is made small.

// Scheduling before register allocation makes GCC 12 spill what the loops need.
#ifndef __clang__
#pragma GCC optimize("O2", "no-schedule-insns")
#endif

#include "tflm_kernels/cortex_m/dsp/byte_channels.h"
#include "tflm_kernels/cortex_m/dsp/kernels.h"
#include "tflm_kernels/cortex_m/dsp/one_pixel.h"
#include "tflm_kernels/cortex_m/dsp/widen.h"
#include "tflm_kernels/cortex_m/dsp/windows.h"

namespace quantmcu {
namespace dsp {
namespace {

// So many words of each of the runs, which it moves on; their loads stand together.
template <int kPixels, int kWords>
[[gnu::always_inline]] inline uint32_t* WidenWords(const uint8_t* (&runs)[kPixels],
                                                   uint32_t minus_zero, uint32_t* words) {
  uint32_t bytes[kWords * kPixels];
#pragma GCC unroll 4
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 2
    for (int i = 0; i < kWords; ++i) bytes[i * kPixels + p] = NextWord(runs[p]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < kWords * kPixels; ++i) {
    uint32_t* const pair = words + i / kPixels * (2 * kPixels) + i % kPixels;
    pair[0] = Sxtab16(minus_zero, bytes[i]);
    pair[kPixels] = Sxtab16Ror8(minus_zero, bytes[i]);
  }
  return words + 2 * kPixels * kWords;
}

// Rows of the windows of pixels side by side.
struct WindowRows {
  int32_t row_step;    // bytes from row to row
  int32_t pixel_step;  // from window to window
  int32_t num_words;   // of a row of taps
  uint32_t minus_zero;
};

// The first `count` rows from `row` on, of kPixels windows. Returns the end.
template <int kPixels>
[[gnu::noinline]] uint32_t* WidenRows(const uint8_t* row, int32_t count, const WindowRows& rows,
                                      uint32_t* words) {
  // Of two pixels two words at a time, twice a turn.
  constexpr int kTurn = kPixels == 2 ? 4 : 1;
  const uint32_t minus_zero = rows.minus_zero;
  const int32_t whole = 2 * kPixels * (rows.num_words & -kTurn);
  const int32_t rest = 2 * kPixels * (rows.num_words & (kTurn - 1));
  for (; count > 0; --count, row += rows.row_step) {
    const uint8_t* runs[kPixels];
#pragma GCC unroll 4
    for (int p = 0; p < kPixels; ++p) runs[p] = row + p * rows.pixel_step;
    uint32_t* const turns_end = words + whole;
    uint32_t* const end = turns_end + rest;
    while (kTurn > 1 && words != turns_end) {
      words = WidenWords<kPixels, 2>(runs, minus_zero, words);
      words = WidenWords<kPixels, 2>(runs, minus_zero, words);
    }
    while (words != end) words = WidenWords<kPixels, 1>(runs, minus_zero, words);
  }
  return words;
}

// Of fours of words. Returns the end.
[[gnu::hot, gnu::noinline]] uint32_t* Cleared(uint32_t* words, int32_t count) {
  for (; count > 0; count -= 4, words += 4) words[0] = words[1] = words[2] = words[3] = 0;
  return words;
}

using WidenRowsFn = uint32_t*(const uint8_t* row, int32_t count, const WindowRows& rows,
                              uint32_t* words);

// So many words of one pixel, `stride` of its words apart.
[[gnu::cold, gnu::noinline]] void WidenApart(const uint8_t* run, int32_t num_words,
                                             uint32_t minus_zero, uint32_t* words, int32_t stride) {
  for (; num_words >= 2; num_words -= 2, words += 4 * stride) {
    const uint32_t first = NextWord(run);
    const uint32_t second = NextWord(run);
    words[0] = Sxtab16(minus_zero, first);
    words[stride] = Sxtab16Ror8(minus_zero, first);
    words[2 * stride] = Sxtab16(minus_zero, second);
    words[3 * stride] = Sxtab16Ror8(minus_zero, second);
  }
  if (num_words == 0) return;
  const uint32_t word = LoadWord(run);
  words[0] = Sxtab16(minus_zero, word);
  words[stride] = Sxtab16Ror8(minus_zero, word);
}

// Makes one row of pixels of windows that are single pixels side by side; returns whether they are.
[[gnu::cold]] bool Flatten(Conv2DParams* params) {
  const Window& w = params->window;
  FeatureMap& in = params->input;
  FeatureMap& out = params->output;
  const bool is_same =
      w.kernel_height * w.kernel_width == 1 && w.stride_height == 1 && w.stride_width == 1 &&
      w.pad_top == 0 && w.pad_left == 0 && in.height == out.height && in.width == out.width &&
      in.row_bytes == in.width * in.channels && out.row_bytes == out.width * out.channels;
  if (!is_same) return false;
  in.width = out.width = in.width * in.height;
  in.height = out.height = 1;
  return true;
}

struct Blocks {
  ResultsKind results;
  WidenRowsFn* widen_rows;
};
constexpr Blocks kBlocks = {kTwoByTwo, WidenRows<kStride>};
constexpr Blocks kShortBlocks = {kOneByFour, WidenRows<kShortStride>};

class RegularConvolution {
 public:
  [[gnu::cold, gnu::noinline]] RegularConvolution(const Conv2DParams& params,
                                                  const Operands& operands, const Blocks& blocks)
      : params_(params),
        operands_(operands),
        windows_(params, operands.input),
        results_(params, operands, blocks.results),
        columns_(reinterpret_cast<uint32_t*>(operands.scratch)),
        rows_{params.window.dilation_height * params.input.row_bytes,
              params.window.stride_width * params.input.channels, windows_.RowSlots() / 4,
              PackLowHalves(-params.input.zero_point, -params.input.zero_point)},
        widen_rows_(blocks.widen_rows),
        num_pixels_(blocks.results.num_pixels),
        row_words_(2 * num_pixels_ * rows_.num_words),
        num_words_(NumGroups(FilterBytes(params))),
        is_gathered_(IsGathered(params)),
        input_end_(params.input.width == 0
                       ? operands.input
                       : windows_.InputAt(params.input.height - 1, params.input.width)) {}

  [[gnu::hot, gnu::noinline]] void Run() {
    const FeatureMap& out = params_.output;
    uint8_t** const runs = results_.Runs();
    Pixel pixel = {0, 0, operands_.output};
    int32_t left = out.height * out.width;
    for (; left > 1; left -= num_pixels_) {
      if (!is_gathered_ && pixel.x + num_pixels_ <= out.width && WidenTogether(pixel)) {
        for (int32_t p = 0; p < num_pixels_; ++p, pixel.run += out.channels) runs[p] = pixel.run;
        pixel.run -= out.channels;
        pixel.x += num_pixels_ - 1;
        Next(out, out.channels, &pixel);
      } else {
        WidenEach(left, num_pixels_, &pixel);
      }
      results_.Make();
    }
    if (left <= 0) return;
    WidenEach(1, 1, &pixel);
    OnePixel<8>(out, params_.clamp, FilterBytes(params_), operands_, 0, pixel.run);
  }

 private:
  static constexpr int32_t kMaxGatheredWords =
      kStride * kMaxGathered > kShortStride* kMaxShortFilterBytes
          ? kStride* kMaxGathered / 4
          : kShortStride* kMaxShortFilterBytes / 4;

  // Of the windows of a row of pixels, the rows inside the map.
  [[gnu::cold, gnu::noinline]] void FindRows(int32_t out_y) {
    const Window& window = params_.window;
    int32_t y = out_y * window.stride_height - window.pad_top;
    num_above_ = num_inside_ = 0;
    for (; num_above_ < window.kernel_height && y < 0; ++num_above_) y += window.dilation_height;
    first_row_ = windows_.InputAt(y, 0);
    const int32_t num_left = window.kernel_height - num_above_;
    for (; num_inside_ < num_left && y < params_.input.height; ++num_inside_) {
      y += window.dilation_height;
    }
    out_y_ = out_y;
  }

  // Pixels of one row. What lies between the rows of the map is read where a tap lies outside, and cleared; returns
  // whether nothing before or behind them would be.
  bool WidenTogether(const Pixel& pixel) {
    if (pixel.y != out_y_) FindRows(pixel.y);
    const Window& window = params_.window;
    const FeatureMap& in = params_.input;
    const int32_t x = pixel.x * window.stride_width - window.pad_left;
    const int32_t end = x + (num_pixels_ - 1) * window.stride_width + window.kernel_width;
    const uint8_t* const row = first_row_ + x * in.channels;
    const bool is_outside = x < 0 || end > in.width;
    if (is_outside &&
        (row < operands_.input ||
         first_row_ + (num_inside_ - 1) * rows_.row_step + end * in.channels > input_end_)) {
      return false;
    }
    uint32_t* const words = Cleared(columns_, num_above_ * row_words_);
    uint32_t* const behind = widen_rows_(row, num_inside_, rows_, words);
    Cleared(behind, (window.kernel_height - num_above_ - num_inside_) * row_words_);
    if (is_outside) ClearOutside(x, words);
    return true;
  }

  // Of the rows inside the map of the windows of a block, of which the first begins at x.
  [[gnu::hot, gnu::noinline]] void ClearOutside(int32_t x, uint32_t* words) const {
    const int32_t width = params_.window.kernel_width;
    const int32_t tap_words = params_.input.channels / 4;
    for (int32_t p = 0; p < num_pixels_; ++p, x += params_.window.stride_width) {
      const int32_t left = params_.input.width - x;
      const int32_t begin = x >= 0 ? 0 : -x < width ? -x : width;
      const int32_t end = left >= width ? width : left > 0 ? left : 0;
      uint32_t* row = words + p;
      for (int32_t i = 0; i < num_inside_; ++i, row += row_words_) {
        Clear({row, 0, 0}, begin * tap_words, 8, num_pixels_);
        Clear({row + 2 * num_pixels_ * tap_words * end, 0, 0}, (width - end) * tap_words, 8,
              num_pixels_);
      }
    }
  }

  // The next pixels, anywhere: as many as `stride`, but no more than are left.
  [[gnu::cold, gnu::noinline]] void WidenEach(int32_t left, int32_t stride, Pixel* pixel) {
    uint32_t gathered[kMaxGatheredWords];
    for (int32_t p = 0; p < stride; ++p) {
      const RowTaps taps = windows_.TapsOf(pixel->y, pixel->x);
      if (is_gathered_) {
        windows_.Gather(taps, num_words_, gathered + p * num_words_);
      } else {
        WidenOne(taps, stride, columns_ + p);
      }
      results_.Runs()[p] = pixel->run;
      if (p + 1 < left) Next(params_.output, params_.output.channels, pixel);
    }
    if (!is_gathered_) return;
    const auto* const bytes = reinterpret_cast<const uint8_t*>(gathered);
    if (stride == 1) return WidenApart(bytes, num_words_, rows_.minus_zero, columns_, 1);
    widen_rows_(bytes, 1, {0, 4 * num_words_, num_words_, rows_.minus_zero}, columns_);
  }

  // A window anywhere, with words `stride` apart.
  [[gnu::cold, gnu::noinline]] void WidenOne(const RowTaps& taps, int32_t stride,
                                             uint32_t* words) const {
    if (!taps.is_inside) Clear({words, 0, 0}, num_words_, 8, stride);
    windows_.ForEachRow(taps, [&](const uint8_t* row, int32_t slot, int32_t count) {
      WidenApart(row, count / 4, rows_.minus_zero, words + slot / 2 * stride, stride);
    });
  }

  const Conv2DParams& params_;
  const Operands& operands_;
  const Windows windows_;
  PlainResults results_;
  uint32_t* const columns_;
  const WindowRows rows_;
  WidenRowsFn* const widen_rows_;
  const int32_t num_pixels_;  // of a block
  const int32_t row_words_;   // of a row of taps in columns_
  const int32_t num_words_;   // of weights
  const bool is_gathered_;
  const uint8_t* const input_end_;
  // What FindRows found last.
  int32_t out_y_ = -1;
  int32_t num_above_ = 0;
  int32_t num_inside_ = 0;
  const uint8_t* first_row_ = nullptr;
};

[[gnu::noinline]] void RunBlocks(const Conv2DParams& params, const Operands& operands,
                                 const Blocks& blocks) {
  RegularConvolution(params, operands, blocks).Run();
}

}  // namespace

void Conv2DRegular(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
                   const ChannelTable& table, uint8_t* output, uint8_t* scratch) {
  Operands operands = {input, filter, table, scratch, output};
  Conv2DParams flat = params;
  const bool is_flat = Flatten(&flat);
  const bool is_short = IsShort(params);
  int32_t& width = flat.output.width;
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  if (is_short && is_flat && width % 4 == 2 && in.channels % 4 == 0 && out.channels % 2 == 0) {
    // The last two pixels meet two channels at a time.
    width -= 2;
    if (width > 0) RunBlocks(flat, operands, kShortBlocks);
    operands.input += width * in.channels;
    operands.output += width * out.channels;
    flat.input.width = width = 2;
    return RunBlocks(flat, operands, kBlocks);
  }
  RunBlocks(flat, operands, is_short ? kShortBlocks : kBlocks);
}

}  // namespace dsp
}  // namespace quantmcu
