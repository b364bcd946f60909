#include "tflm_kernels/cortex_m/mve/window.h"

#include <arm_mve.h>

#include "tflm_kernels/cortex_m/mve/packed.h"

namespace quantmcu {
namespace mve {
namespace {

// A byte full of zero points.
uint8_t PaddingByte(const FeatureMap& map) {
  uint8_t byte = 0;
  for (int32_t i = 0; i < 8 / map.bits; ++i) StoreValue(&byte, i, map.bits, map.zero_point);
  return byte;
}

// Without a call for a few bytes.
inline void CopyBytes(uint8_t* to, const uint8_t* from, int32_t num_bytes) {
  for (; num_bytes >= kLanes; num_bytes -= kLanes, to += kLanes, from += kLanes) {
    vstrbq_u8(to, vldrbq_u8(from));
  }
  if (num_bytes == 0) return;
  const mve_pred16_t inside = vctp8q(static_cast<uint32_t>(num_bytes));
  vstrbq_p_u8(to, vldrbq_z_u8(from, inside), inside);
}

inline void FillBytes(uint8_t* to, uint8_t value, int32_t num_bytes) {
  for (; num_bytes > 0; num_bytes -= kLanes, to += kLanes) {
    vstrbq_p_u8(to, vdupq_n_u8(value), vctp8q(static_cast<uint32_t>(num_bytes)));
  }
}

int32_t Between(int32_t value, int32_t min, int32_t max) {
  if (value < min) return min;
  return value > max ? max : value;
}

// A window that is not wholly inside; (y, x) is the input position of its first tap. Taps that are
// neighbours in the input go together.
void GatherClipped(const FeatureMap& in, const Window& window, const uint8_t* input, int32_t y,
                   int32_t x, uint8_t* taps) {
  const int32_t pixel_bytes = PixelBytes(in);
  const uint8_t padding = PaddingByte(in);
  const int32_t neighbours = window.dilation_width == 1 ? window.kernel_width : 1;
  for (int32_t ky = 0; ky < window.kernel_height; ++ky, y += window.dilation_height) {
    const bool is_row_inside = y >= 0 && y < in.height;
    for (int32_t kx = 0; kx < window.kernel_width; kx += neighbours) {
      const int32_t first = x + kx * window.dilation_width;
      const int32_t begin = is_row_inside ? Between(-first, 0, neighbours) : neighbours;
      const int32_t end = Between(in.width - first, begin, neighbours);
      FillBytes(taps, padding, begin * pixel_bytes);
      if (end > begin) {
        CopyBytes(taps + begin * pixel_bytes, input + PixelOffset(in, y, first + begin),
                  (end - begin) * pixel_bytes);
      }
      FillBytes(taps + end * pixel_bytes, padding, (neighbours - end) * pixel_bytes);
      taps += neighbours * pixel_bytes;
    }
  }
}

}  // namespace

void GatherWindows(const FeatureMap& in, const Window& window, const uint8_t* input, int32_t oy,
                   int32_t ox, int32_t count, uint8_t* windows) {
  const int32_t pixel_bytes = PixelBytes(in);
  const int32_t tap_row_bytes = window.kernel_width * pixel_bytes;
  const int32_t row_step = window.dilation_height * in.row_bytes;
  const int32_t y = oy * window.stride_height - window.pad_top;
  int32_t x = ox * window.stride_width - window.pad_left;
  const bool are_rows_inside =
      y >= 0 && y + (window.kernel_height - 1) * window.dilation_height < in.height;
  const int32_t window_bytes = window.kernel_height * tap_row_bytes;
  for (; count > 0; --count, x += window.stride_width) {
    if (!are_rows_inside || x < 0 || x + window.kernel_width > in.width ||
        window.dilation_width != 1) {
      GatherClipped(in, window, input, y, x, windows);
      windows += window_bytes;
      continue;
    }
    const uint8_t* row = input + y * in.row_bytes + x * pixel_bytes;
    for (int32_t ky = window.kernel_height; ky > 0; --ky) {
      CopyBytes(windows, row, tap_row_bytes);
      windows += tap_row_bytes;
      row += row_step;
    }
  }
}

}  // namespace mve
}  // namespace quantmcu
