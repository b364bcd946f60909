#include "tflm_kernels/cortex_m/mve/window.h"

#include <arm_mve.h>

#include "tflm_kernels/cortex_m/mve/packed.h"

namespace quantmcu {
namespace mve {
namespace {

// Packed values become int8, 16 of them every `step` bytes. Loops that end inside a vector are not what GCC 12 makes.
template <int kBits>
inline void ExpandRun(const uint8_t* run, int32_t count, int8_t* expanded, int32_t step) {
  // clang-format off
#define QMCU_EXPAND(load_and_spread)                            \
  asm volatile("wlstp.8 lr, %[count], 2f\n"                     \
               "1:\n"                                           \
               load_and_spread                                  \
               "vstrb.8 q0, [%[expanded]]\n"                    \
               "add %[expanded], %[expanded], %[step]\n"        \
               "letp lr, 1b\n"                                  \
               "2:\n"                                           \
               : [run] "+l"(run), [expanded] "+r"(expanded)     \
               : [count] "r"(count), [step] "r"(step)           \
               : "lr", "q0", "q1", "cc", "memory")
  if constexpr (kBits == 8) QMCU_EXPAND("vldrb.8 q0, [%[run]], #16\n");
  if constexpr (kBits == 4) {
    QMCU_EXPAND("vldrb.u16 q1, [%[run]], #8\n"
                "vshl.i16 q0, q1, #4\n"
                "vsli.16 q0, q1, #8\n"
                "vshr.s8 q0, q0, #4\n");
  }
  if constexpr (kBits == 2) {
    QMCU_EXPAND("vldrb.u32 q1, [%[run]], #4\n"
                "vshl.i32 q0, q1, #6\n"
                "vsli.32 q0, q1, #12\n"
                "vsli.32 q0, q1, #18\n"
                "vsli.32 q0, q1, #24\n"
                "vshr.s8 q0, q0, #6\n");
  }
#undef QMCU_EXPAND
  // clang-format on
}

inline void ExpandRun(const uint8_t* run, int32_t bits, int32_t count, int8_t* expanded,
                      int32_t step) {
  if (bits == 8) {
    ExpandRun<8>(run, count, expanded, step);
  } else if (bits == 4) {
    ExpandRun<4>(run, count, expanded, step);
  } else {
    ExpandRun<2>(run, count, expanded, step);
  }
}

inline void Fill(int8_t* values, int32_t value, int32_t count) {
  const int8x16_t lanes = vdupq_n_s8(static_cast<int8_t>(value));
  for (; count > 0; count -= kLanes, values += kLanes) {
    vstrbq_p_s8(values, lanes, vctp8q(static_cast<uint32_t>(count)));
  }
}

int32_t Between(int32_t value, int32_t min, int32_t max) {
  if (value < min) return min;
  return value > max ? max : value;
}

// A window inside; `first` is its first tap.
[[gnu::noinline]] void FlattenInside(const Windows& windows, const uint8_t* first) {
  const FeatureMap& map = windows.map;
  const Window& window = windows.window;
  const int32_t count = windows.piece_length;
  const int32_t piece_step = window.dilation_width * windows.pixel_bytes;
  int8_t* values = windows.flat;
  for (int32_t ky = window.kernel_height; ky > 0; --ky, first += windows.row_step) {
    const uint8_t* piece = first;
    for (int32_t kx = window.kernel_width; kx > 0; kx -= windows.piece_taps, piece += piece_step) {
      ExpandRun(piece, map.bits, count, values, kLanes);
      values += count;
    }
  }
}

// Any window; (y, x) is the input position of its first tap.
[[gnu::noinline]] void Flatten(const Windows& windows, int32_t y, int32_t x) {
  const FeatureMap& map = windows.map;
  const Window& window = windows.window;
  const int32_t taps = windows.piece_taps;
  int8_t* values = windows.flat;
  for (int32_t ky = 0; ky < window.kernel_height; ++ky, y += window.dilation_height) {
    const bool is_row_inside = y >= 0 && y < map.height;
    for (int32_t kx = 0; kx < window.kernel_width; kx += taps) {
      const int32_t first = x + kx * window.dilation_width;
      const int32_t begin = is_row_inside ? Between(-first, 0, taps) : taps;
      const int32_t end = Between(map.width - first, begin, taps);
      Fill(values, map.zero_point, begin * map.channels);
      if (end > begin) {
        ExpandRun(windows.input + PixelOffset(map, y, first + begin), map.bits,
                  (end - begin) * map.channels, values + begin * map.channels, kLanes);
      }
      Fill(values + end * map.channels, map.zero_point, (taps - end) * map.channels);
      values += taps * map.channels;
    }
  }
}

}  // namespace

Windows MakeWindows(const FeatureMap& map, const FeatureMap& output, const Window& window,
                    const uint8_t* input, int8_t* flat) {
  const bool has_gaps = window.dilation_width != 1 || map.channels * map.bits % 8 != 0;
  const int32_t taps = has_gaps ? 1 : window.kernel_width;
  const bool is_one_piece = window.kernel_height == 1 && taps == window.kernel_width;
  const bool is_direct =
      is_one_piece || (taps == window.kernel_width && taps * map.channels % kLanes == 0);
  return {map,
          window,
          input,
          WindowsInside(map, output, window),
          window.kernel_height * window.kernel_width * map.channels,
          taps,
          taps * map.channels,
          PixelBytes(map),
          window.dilation_height * map.row_bytes,
          is_direct,
          flat};
}

void ExpandWindow(const Windows& windows, int32_t oy, int32_t ox, int8_t* expanded, int32_t step) {
  const FeatureMap& map = windows.map;
  const Window& window = windows.window;
  const InsideRanges& inside = windows.inside;
  const int32_t y = oy * window.stride_height - window.pad_top;
  const int32_t x = ox * window.stride_width - window.pad_left;
  const uint8_t* row = windows.input + y * map.row_bytes + x * windows.pixel_bytes;
  const bool is_inside = oy >= inside.rows.begin && oy < inside.rows.end &&
                         ox >= inside.columns.begin && ox < inside.columns.end;
  if (!is_inside || !windows.is_direct) {
    if (is_inside) {
      FlattenInside(windows, row);
    } else {
      Flatten(windows, y, x);
    }
    ExpandRun<8>(reinterpret_cast<const uint8_t*>(windows.flat), windows.length, expanded, step);
    return;
  }
  const int32_t count = windows.piece_length;
  ExpandRun(row, map.bits, count, expanded, step);
  const int32_t expanded_step = count / kLanes * step;
  for (int32_t ky = window.kernel_height - 1; ky > 0; --ky) {
    row += windows.row_step;
    expanded += expanded_step;
    ExpandRun(row, map.bits, count, expanded, step);
  }
}

}  // namespace mve
}  // namespace quantmcu
