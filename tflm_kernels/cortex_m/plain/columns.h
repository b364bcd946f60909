// cortex_m/plain/columns.h - what output pixels read, unpacked once for all output channels: int16 less the zero point,
// taps outside the map 0, the values of kStride pixels side by side.
//
// Layout   a tap has as many slots as its weights have with those that fill up their last byte.
#ifndef TFLM_KERNELS_CORTEX_M_PLAIN_COLUMNS_H_
#define TFLM_KERNELS_CORTEX_M_PLAIN_COLUMNS_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/packed.h"

namespace quantmcu {
namespace plain {

// Values of a run of `channels` weights with those that fill up its last byte.
inline int32_t Slots(int32_t channels, int32_t weight_bits) {
  return RunBytes(channels, weight_bits) * 8 / weight_bits;
}

template <int kStride>
inline void UnpackBytes(const uint8_t* run, int32_t count, int32_t zero_point, int16_t* to) {
  for (; count >= 4; count -= 4, run += 4, to += 4 * kStride) {
    to[0] = static_cast<int16_t>(static_cast<int8_t>(run[0]) - zero_point);
    to[kStride] = static_cast<int16_t>(static_cast<int8_t>(run[1]) - zero_point);
    to[2 * kStride] = static_cast<int16_t>(static_cast<int8_t>(run[2]) - zero_point);
    to[3 * kStride] = static_cast<int16_t>(static_cast<int8_t>(run[3]) - zero_point);
  }
  for (; count > 0; --count, ++run, to += kStride) {
    *to = static_cast<int16_t>(static_cast<int8_t>(*run) - zero_point);
  }
}

template <int kStride, int kBits>
inline void UnpackFields(const uint8_t* run, int32_t count, int32_t zero_point, int16_t* to) {
  for (; count > 0; count -= 8 / kBits, ++run) {
    uint32_t fields = uint32_t{*run} << 24;
    const int32_t in_byte = count < 8 / kBits ? count : 8 / kBits;
    for (int32_t i = 0; i < in_byte; ++i, to += kStride) {
      const uint32_t field = fields << (8 - kBits * (i + 1));
      *to = static_cast<int16_t>((static_cast<int32_t>(field) >> (32 - kBits)) - zero_point);
    }
  }
}

template <int kStride>
inline void UnpackRun(const uint8_t* run, int32_t count, int32_t bits, int32_t zero_point,
                      int16_t* to) {
  if (bits == 8) return UnpackBytes<kStride>(run, count, zero_point, to);
  if (bits == 4) return UnpackFields<kStride, 4>(run, count, zero_point, to);
  UnpackFields<kStride, 2>(run, count, zero_point, to);
}

// Taps [begin, end) of an axis of the window that lie inside the map.
struct AxisTaps {
  int32_t position;  // of tap 0
  int32_t begin;
  int32_t end;
};

inline AxisTaps TapsInside(int32_t position, int32_t kernel, int32_t dilation, int32_t size) {
  AxisTaps taps = {position, 0, kernel};
  if (position >= 0 && position + (kernel - 1) * dilation < size) return taps;  // of most pixels
  while (taps.begin < taps.end && position + taps.begin * dilation < 0) ++taps.begin;
  while (taps.end > taps.begin && position + (taps.end - 1) * dilation >= size) --taps.end;
  return taps;
}

// Makes the columns of a convolution's pixels.
class Unpacker {
 public:
  Unpacker(const FeatureMap& map, const Window& window, int32_t weight_bits, const uint8_t* input)
      : map_(map),
        window_(window),
        input_(input),
        slots_(Slots(map.channels, weight_bits)),
        num_slots_(window.kernel_height * window.kernel_width * slots_),
        is_dense_(slots_ == map.channels),
        has_row_runs_(is_dense_ && window.dilation_width == 1 && map.channels * map.bits % 8 == 0) {
  }

  int32_t num_slots() const { return num_slots_; }

  // Of output pixel (oy, ox), at column[kStride * slot].
  template <int kStride>
  [[gnu::noinline]] void Unpack(int32_t oy, int32_t ox, int16_t* column) const {
    const Window& w = window_;
    const AxisTaps rows = TapsInside(oy * w.stride_height - w.pad_top, w.kernel_height,
                                     w.dilation_height, map_.height);
    const AxisTaps columns =
        TapsInside(ox * w.stride_width - w.pad_left, w.kernel_width, w.dilation_width, map_.width);
    const int32_t num_taps = (rows.end - rows.begin) * (columns.end - columns.begin);
    if (!is_dense_ || num_taps != w.kernel_height * w.kernel_width) {
      for (int32_t i = 0; i < num_slots_; ++i) column[kStride * i] = 0;
    }
    const int32_t count = columns.end - columns.begin;
    const int32_t run_taps = has_row_runs_ ? count : 1;
    const int32_t tap_bytes = w.dilation_width * PixelBytes(map_);
    for (int32_t ky = rows.begin; ky < rows.end; ++ky) {
      const uint8_t* run =
          input_ + PixelOffset(map_, rows.position + ky * w.dilation_height, columns.position) +
          columns.begin * tap_bytes;
      int16_t* to = column + kStride * slots_ * (ky * w.kernel_width + columns.begin);
      for (int32_t k = 0; k < count; k += run_taps, run += tap_bytes, to += kStride * slots_) {
        UnpackRun<kStride>(run, run_taps * map_.channels, map_.bits, map_.zero_point, to);
      }
    }
  }

 private:
  const FeatureMap& map_;
  const Window& window_;
  const uint8_t* const input_;
  const int32_t slots_;      // of a tap
  const int32_t num_slots_;  // of a column
  const bool is_dense_;      // no slot but those of values
  const bool has_row_runs_;  // taps of a row are neighbours
};

}  // namespace plain
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_PLAIN_COLUMNS_H_
