// cortex_m/dsp/windows.h - the rows of taps that the window of a convolution has inside the map.
//
// Source   written from docs/arithmetic.md A3 and docs/format.md F2.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_WINDOWS_H_
#define TFLM_KERNELS_CORTEX_M_DSP_WINDOWS_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/four_values.h"
#include "tflm_kernels/cortex_m/dsp/gather.h"
#include "tflm_kernels/cortex_m/dsp/scratch.h"
#include "tflm_kernels/portable/ops/conv2d.h"

namespace quantmcu {
namespace dsp {

// Values of a run with those that would fill its last byte.
inline int32_t Slots(int32_t channels, int32_t bits) { return RunBytes(channels, bits) * 8 / bits; }

// Where a window begins, and the taps [begin, end) of its rows that lie inside the map.
struct RowTaps {
  int32_t y;
  int32_t x;
  bool is_inside;  // the whole window
  int32_t begin;
  int32_t end;
};

class Windows {
 public:
  Windows(const Conv2DParams& params, const uint8_t* input)
      : params_(params),
        input_(input),
        slots_(Slots(params.input.channels, params.weight_bits)),
        row_slots_(params.window.kernel_width * slots_),
        pixel_bytes_(PixelBytes(params.input)) {}

  // Values of a tap, with what its run leaves unused; of a row of taps.
  int32_t TapSlots() const { return slots_; }
  int32_t RowSlots() const { return row_slots_; }

  const uint8_t* InputAt(int32_t y, int32_t x) const {
    return input_ + y * params_.input.row_bytes + x * pixel_bytes_;
  }

  // Of an output pixel.
  RowTaps TapsOf(int32_t out_y, int32_t out_x) const {
    const FeatureMap& in = params_.input;
    const Window& window = params_.window;
    const int32_t y = out_y * window.stride_height - window.pad_top;
    const int32_t x = out_x * window.stride_width - window.pad_left;
    const bool is_inside =
        y >= 0 && y + (window.kernel_height - 1) * window.dilation_height < in.height && x >= 0 &&
        x + (window.kernel_width - 1) * window.dilation_width < in.width;
    return {y, x, is_inside, x < 0 ? -x : 0,
            in.width - x < window.kernel_width ? in.width - x : window.kernel_width};
  }

  // Calls visit(row, slot, count) for the rows of a window whose taps are neighbours: where the first of `count` values
  // stands, and its slot.
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

  // The rows of a window one behind the other, with the zero point where a tap lies outside and behind the last one.
  void Gather(const RowTaps& taps, int32_t num_words, uint32_t* words) const {
    if (!taps.is_inside || row_slots_ < 4) return GatherInside(taps, num_words, words);
    words[num_words - 1] = Repeated(params_.input.zero_point);
    CopyRows(InputAt(taps.y, taps.x), params_.window.dilation_height * params_.input.row_bytes,
             params_.window.kernel_height, row_slots_, reinterpret_cast<uint8_t*>(words));
  }

 private:
  // Of any window.
  [[gnu::cold, gnu::noinline]] void GatherInside(const RowTaps& taps, int32_t num_words,
                                                 uint32_t* words) const {
    for (int32_t i = 0; i < num_words; ++i) words[i] = Repeated(params_.input.zero_point);
    ForEachRow(taps, [&](const uint8_t* row, int32_t slot, int32_t count) {
      CopyBytes(row, count, reinterpret_cast<uint8_t*>(words) + slot);
    });
  }

  const Conv2DParams& params_;
  const uint8_t* const input_;
  const int32_t slots_;
  const int32_t row_slots_;
  const int32_t pixel_bytes_;
};

// Output pixels in row-major order, and where each stands.
struct Pixel {
  int32_t y;
  int32_t x;
  uint8_t* run;
};

inline void Next(const FeatureMap& output, int32_t pixel_bytes, Pixel* pixel) {
  pixel->run += pixel_bytes;
  if (++pixel->x < output.width) return;
  *pixel = {pixel->y + 1, 0, pixel->run + output.row_bytes - output.width * pixel_bytes};
}

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_WINDOWS_H_
