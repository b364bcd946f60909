// Convolution with the DSP extension.
//
// What is gained: two output pixels at a time are widened once (widen_dsp.h) and meet all output
// channels, two at a time (dot_dsp.h); the pixels of a pair need not be in one row. Results leave as
// pairs of halfwords, clamped together, and whole bytes are stored.
// Covers all windows, widths and channel counts itself.
// Memory   scratch for two widened pixels: 4 bytes a tap and input channel, half of it where
//          a_bits + w_bits <= 6; 4-byte aligned.

// Scheduling before register allocation makes GCC 12 spill what the loops of dot_dsp.h need.
#pragma GCC optimize("no-schedule-insns")

#include "tflm_kernels/cortex_m/dot_dsp.h"
#include "tflm_kernels/cortex_m/fixed_point_dsp.h"
#include "tflm_kernels/cortex_m/store_pair_dsp.h"
#include "tflm_kernels/cortex_m/widen_dsp.h"
#include "tflm_kernels/portable/conv2d.h"

namespace quantmcu {
namespace dsp {
namespace {

struct Buffers {
  const uint8_t* input;
  const uint8_t* filter;
  const int32_t* bias;
  const int32_t* multiplier;
  const int32_t* shift;
  uint8_t* scratch;
  uint8_t* output;
};

int32_t FilterBytes(const Conv2DParams& params) {
  return params.window.kernel_height * params.window.kernel_width *
         RunBytes(params.input.channels, params.weight_bits);
}

// Output pixels in row-major order.
struct Pixel {
  int32_t y;
  int32_t x;
};

Pixel Next(const Pixel& pixel, int32_t width) {
  return pixel.x + 1 == width ? Pixel{pixel.y + 1, 0} : Pixel{pixel.y, pixel.x + 1};
}

template <int kABits, int kWBits>
class Convolution {
  using W = Widening<kABits, kWBits>;
  static constexpr int kPixels = 2;
  static constexpr int kChannels = W::kIsPacked ? 1 : 2;

 public:
  Convolution(const Conv2DParams& params, const Buffers& buffers)
      : params_(params),
        buffers_(buffers),
        columns_(reinterpret_cast<uint32_t*>(buffers.scratch)),
        filter_bytes_(FilterBytes(params)),
        is_grouped_(params.input.channels % W::kGroup == 0),
        start_(W::SliceStart(params.input.zero_point)) {}

  void Run() const {
    const FeatureMap& out = params_.output;
    Pixel first = {0, 0};
    for (int32_t n = out.height * out.width; n > 0; n -= kPixels) {
      // The last one of an odd number is computed twice.
      const Pixel second = n > 1 ? Next(first, out.width) : first;
      const int32_t corrections[kPixels] = {Widen(first, 0), Widen(second, 1)};
      PairStore store(params_.output, params_.clamp,
                      buffers_.output + PixelOffset(out, first.y, first.x),
                      buffers_.output + PixelOffset(out, second.y, second.x));
      AllChannels(corrections, &store);
      first = Next(second, out.width);
    }
  }

 private:
  // Widens what output pixel (y, x) reads; returns what its sums lack.
  int32_t Widen(const Pixel& pixel, int32_t index) const {
    Column<kABits, kWBits, kPixels> column(columns_ + index, params_.input.zero_point);
    if (is_grouped_ || filter_bytes_ == RunBytes(params_.input.channels, kWBits)) {
      WidenGroups(pixel, &column);
    } else {
      WidenValues(pixel, &column);
    }
    const int32_t slices =
        W::kIsPacked ? W::NumGroups(filter_bytes_) * W::kWordsPerGroup / W::kSmladsPerSlice : 0;
    return -column.sum() * W::kWeightOffset -
           slices * W::SliceOffset(params_.input.zero_point);
  }

  // Each tap starts on a group: whole groups, or one tap alone.
  void WidenGroups(const Pixel& pixel, Column<kABits, kWBits, kPixels>* column) const {
    const FeatureMap& in = params_.input;
    const Window& window = params_.window;
    const int32_t groups = W::NumGroups(RunBytes(in.channels, kWBits));
    for (int32_t ky = 0; ky < window.kernel_height; ++ky) {
      const int32_t iy =
          pixel.y * window.stride_height - window.pad_top + ky * window.dilation_height;
      int32_t ix = pixel.x * window.stride_width - window.pad_left;
      for (int32_t kx = 0; kx < window.kernel_width; ++kx, ix += window.dilation_width) {
        if (iy < 0 || iy >= in.height || ix < 0 || ix >= in.width) {
          column->Clear(groups);
          column->Skip(groups);
        } else {
          column->AddRun(buffers_.input + PixelOffset(in, iy, ix), in.channels);
        }
      }
    }
  }

  // Taps start anywhere in a group.
  void WidenValues(const Pixel& pixel, Column<kABits, kWBits, kPixels>* column) const {
    const int32_t slots = RunBytes(params_.input.channels, kWBits) * (8 / kWBits);
    column->Clear(W::NumGroups(filter_bytes_));
    ForEachTapInside(params_.input, params_.window, pixel.y, pixel.x,
                     [&](int32_t pixel_offset, int32_t tap) {
                       column->AddValues(buffers_.input + pixel_offset, tap * slots,
                                         params_.input.channels);
                     });
  }

  void AllChannels(const int32_t* corrections, PairStore* store) const {
    const int32_t num_channels = params_.output.channels;
    int32_t o = 0;
    for (; o + kChannels <= num_channels; o += kChannels) {
      Channels<kChannels>(o, corrections, store);
    }
    if (o < num_channels) Channels<1>(o, corrections, store);
    store->Finish();
  }

  template <int kCount>
  [[gnu::always_inline]] void Channels(int32_t o, const int32_t* corrections,
                                       PairStore* store) const {
    const int32_t* bias = buffers_.bias + o;
    int32_t sums[kCount][kPixels];
    sums[0][0] = WrappingAdd(bias[0], corrections[0]);
    sums[0][1] = WrappingAdd(bias[0], corrections[1]);
    if constexpr (kCount == 2) {
      sums[1][0] = WrappingAdd(bias[1], corrections[0]);
      sums[1][1] = WrappingAdd(bias[1], corrections[1]);
    }
    Dots<kABits, kWBits, kCount, kPixels>::Add(buffers_.filter + o * filter_bytes_, filter_bytes_,
                                               columns_, start_, sums);
    store->Put(sums[0][0], sums[0][1], {buffers_.multiplier[o], buffers_.shift[o]});
    if constexpr (kCount == 2) {
      store->Put(sums[1][0], sums[1][1], {buffers_.multiplier[o + 1], buffers_.shift[o + 1]});
    }
  }

  const Conv2DParams& params_;
  const Buffers& buffers_;
  uint32_t* const columns_;
  const int32_t filter_bytes_;
  const bool is_grouped_;
  const int32_t start_;
};

template <int kABits, int kWBits>
void Run(const Conv2DParams& params, const Buffers& buffers) {
  Convolution<kABits, kWBits>(params, buffers).Run();
}

template <int kABits>
void RunWith(const Conv2DParams& params, const Buffers& buffers) {
  if (params.weight_bits == 8) return Run<kABits, 8>(params, buffers);
  if (params.weight_bits == 4) return Run<kABits, 4>(params, buffers);
  return Run<kABits, 2>(params, buffers);
}

}  // namespace

size_t Conv2DScratchBytes(const Conv2DParams& params) {
  return ColumnBytes(params.input.bits, params.weight_bits, FilterBytes(params), 2);
}

void Conv2D(const Conv2DParams& params, const uint8_t* input, const uint8_t* filter,
            const int32_t* bias, const int32_t* multiplier, const int32_t* shift, uint8_t* output,
            uint8_t* scratch) {
  const Buffers buffers = {input, filter, bias, multiplier, shift, scratch, output};
  if (params.input.bits == 8) return RunWith<8>(params, buffers);
  if (params.input.bits == 4) return RunWith<4>(params, buffers);
  return RunWith<2>(params, buffers);
}

}  // namespace dsp
}  // namespace quantmcu
