#include "tflm_kernels/cortex_m/mve/window.h"

#include <arm_mve.h>

#include "tflm_kernels/cortex_m/mve/dot.h"
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

[[gnu::always_inline]] inline void ExpandRun(const uint8_t* run, int32_t bits, int32_t count,
                                             int8_t* expanded, int32_t step) {
  if (bits == 8) {
    ExpandRun<8>(run, count, expanded, step);
  } else if (bits == 4) {
    ExpandRun<4>(run, count, expanded, step);
  } else {
    ExpandRun<2>(run, count, expanded, step);
  }
}

inline void Fill(int8_t* values, int32_t value, int32_t count, int32_t step) {
  const int8x16_t lanes = vdupq_n_s8(static_cast<int8_t>(value));
  for (; count > 0; count -= kLanes, values += step) {
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
  const int32_t slots = windows.piece_slots;
  const int32_t piece_step = window.dilation_width * windows.pixel_bytes;
  int8_t* values = windows.flat;
  for (int32_t ky = window.kernel_height; ky > 0; --ky, first += windows.row_step) {
    const uint8_t* piece = first;
    for (int32_t kx = window.kernel_width; kx > 0; kx -= windows.piece_taps, piece += piece_step) {
      ExpandRun(piece, map.bits, count, values, kLanes);
      values += slots;
    }
  }
}

// Where the values of any window go: 16 every `step` bytes, those of a tap `tap_step` bytes behind the last one's, those
// of a piece `piece_step`.
struct Places {
  int8_t* values;
  int32_t step;
  int32_t tap_step;
  int32_t piece_step;
};

// Any window; (y, x) is the input position of its first tap.
[[gnu::noinline]] void ExpandAny(const Windows& windows, int32_t y, int32_t x, Places to) {
  const FeatureMap& map = windows.map;
  const Window& window = windows.window;
  const int32_t taps = windows.piece_taps;
  for (int32_t ky = 0; ky < window.kernel_height; ++ky, y += window.dilation_height) {
    const bool is_row_inside = y >= 0 && y < map.height;
    for (int32_t kx = 0; kx < window.kernel_width; kx += taps) {
      const int32_t first = x + kx * window.dilation_width;
      const int32_t begin = is_row_inside ? Between(-first, 0, taps) : taps;
      const int32_t end = Between(map.width - first, begin, taps);
      Fill(to.values, map.zero_point, begin * map.channels, to.step);
      if (end > begin) {
        ExpandRun(windows.input + PixelOffset(map, y, first + begin), map.bits,
                  (end - begin) * map.channels, to.values + begin * to.tap_step, to.step);
      }
      Fill(to.values + end * to.tap_step, map.zero_point, (taps - end) * map.channels, to.step);
      to.values += to.piece_step;
    }
  }
}

// A block in the order of the map becomes one field behind the other. GCC 12 gives its own such loads an address that
// they do not have.
inline void SplitBlock(const int8_t* values, int32_t fields, int8_t* expanded, int32_t step) {
  // clang-format off
#define QMCU_SPLIT(load, store)                        \
  asm volatile(load store                              \
               : [to] "+r"(expanded)                   \
               : [from] "r"(values), [step] "r"(step)  \
               : "q0", "q1", "q2", "q3", "memory")
#define QMCU_STORE(vector) "vstrb.8 " vector ", [%[to]]\nadd %[to], %[to], %[step]\n"
  if (fields == 2) {
    QMCU_SPLIT("vld20.8 {q0, q1}, [%[from]]\n"
               "vld21.8 {q0, q1}, [%[from]]\n", QMCU_STORE("q0") QMCU_STORE("q1"));
  } else {
    QMCU_SPLIT("vld40.8 {q0, q1, q2, q3}, [%[from]]\n"
               "vld41.8 {q0, q1, q2, q3}, [%[from]]\n"
               "vld42.8 {q0, q1, q2, q3}, [%[from]]\n"
               "vld43.8 {q0, q1, q2, q3}, [%[from]]\n",
               QMCU_STORE("q0") QMCU_STORE("q1") QMCU_STORE("q2") QMCU_STORE("q3"));
  }
#undef QMCU_STORE
#undef QMCU_SPLIT
  // clang-format on
}

[[gnu::noinline]] void SplitFlat(const Windows& windows, int8_t* expanded, int32_t step) {
  const int32_t fields = windows.order.fields;
  const int8_t* values = windows.flat;
  for (int32_t left = windows.length; left > 0; left -= fields * kLanes) {
    SplitBlock(values, fields, expanded, step);
    values += fields * kLanes;
    expanded += fields * step;
  }
}

// A piece where it belongs, block by block. Returns where the next one does.
[[gnu::noinline]] int8_t* SplitRun(const Windows& windows, const uint8_t* run, int8_t* expanded,
                                   int32_t step) {
  const int32_t fields = windows.order.fields;
  const int32_t bits = windows.map.bits;
  const int32_t block = fields * kLanes;
  for (int32_t left = windows.piece_length; left > 0; left -= block, run += block * bits / 8) {
    const int8_t* values = reinterpret_cast<const int8_t*>(run);
    if (bits != 8 || left < block) {
      ExpandRun(run, bits, left < block ? left : block, windows.flat, kLanes);
      values = windows.flat;
    }
    SplitBlock(values, fields, expanded, step);
    expanded += fields * step;
  }
  return expanded;
}

// The same from bytes that have the fields of the weights'.
template <int kBits>
[[gnu::noinline]] int8_t* SplitPacked(const uint8_t* run, int32_t num_bytes, int8_t* expanded,
                                      int32_t step) {
  for (; num_bytes > 0; num_bytes -= kLanes, run += kLanes) {
    const mve_pred16_t inside = vctp8q(static_cast<uint32_t>(num_bytes));
    const int8x16_t bytes = vreinterpretq_s8_u8(vldrbq_z_u8(run, inside));
#pragma GCC unroll 4
    for (int f = 0; f < kFields<kBits>; ++f, expanded += step) {
      vstrbq_s8(expanded, vshrq_n_s8(Field<kBits>(bytes, f), 8 - kBits));
    }
  }
  return expanded;
}

// A window inside whose pieces are whole blocks, or which is one piece; `first` is its first tap.
[[gnu::noinline]] void SplitInside(const Windows& windows, const uint8_t* first, int8_t* expanded,
                                   int32_t step) {
  const int32_t bits = windows.map.bits;
  const int32_t num_bytes = RunBytes(windows.piece_length, bits);
  const bool is_alike = bits * windows.order.fields == 8;
  for (int32_t ky = windows.window.kernel_height; ky > 0; --ky, first += windows.row_step) {
    if (!is_alike) {
      expanded = SplitRun(windows, first, expanded, step);
    } else if (bits == 4) {
      expanded = SplitPacked<4>(first, num_bytes, expanded, step);
    } else {
      expanded = SplitPacked<2>(first, num_bytes, expanded, step);
    }
  }
}

}  // namespace

Windows MakeWindows(const FeatureMap& map, const FeatureMap& output, const Window& window,
                    const WindowOrder& order, const uint8_t* input, int8_t* flat) {
  const bool has_gaps =
      window.dilation_width != 1 || map.channels * map.bits % 8 != 0 || order.slots != map.channels;
  const int32_t taps = has_gaps ? 1 : window.kernel_width;
  const bool is_one_piece = window.kernel_height == 1 && taps == window.kernel_width;
  const bool has_whole_pieces =
      is_one_piece ||
      (taps == window.kernel_width && taps * map.channels % (kLanes * order.fields) == 0);
  return {map,
          window,
          input,
          WindowsInside(map, output, window),
          order,
          window.kernel_height * window.kernel_width * order.slots,
          taps,
          taps * map.channels,
          taps * order.slots,
          PixelBytes(map),
          window.dilation_height * map.row_bytes,
          has_whole_pieces && order.fields == 1,
          has_whole_pieces && order.fields > 1,
          HasWholeTaps(map.channels, order.fields),
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
    if (is_inside && windows.is_split) return SplitInside(windows, row, expanded, step);
    if (windows.has_whole_taps) {
      const int32_t tap_step = map.channels / kLanes * step;
      return ExpandAny(windows, y, x, {expanded, step, tap_step, windows.piece_taps * tap_step});
    }
    if (is_inside) {
      FlattenInside(windows, row);
    } else {
      ExpandAny(windows, y, x, {windows.flat, kLanes, map.channels, windows.piece_slots});
    }
    if (windows.order.fields > 1) return SplitFlat(windows, expanded, step);
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
