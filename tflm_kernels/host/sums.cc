// host/sums.cc - the last step of convolutions on whole arrays, and depthwise convolution, on the converting machine.
//
// y[r, c] = clamp(multiply(sums[r, c] + bias[c], multiplier[c], shift[c]) + zero point)     docs/arithmetic.md A1, A3
// Input    sums of any of three types, whole numbers of 32 bits; table int32 [3, channels]: bias, multiplier, shift.
// Output   int8 [rows, channels].
// Level    instructions to use: 0 those of every x86-64, 1 AVX2, 2 AVX-512; never more than the processor has.
// Source   written from docs/arithmetic.md; plain loops over channels, which compilers turn into vectors.
#include <stdint.h>

namespace {

struct Output {
  int32_t zero_point, min, max;
};

// Law A1 without branches. x * multiplier + 2^30 has 64 bits, of which bits 31 to 62 are wanted: whether zeros or the
// sign is shifted in from above does not show there, and only shifts of the first kind are vectors everywhere.
inline __attribute__((always_inline)) int32_t Requantized(int32_t acc, int32_t multiplier,
                                                          int32_t shift, const Output& output) {
  const int32_t left = shift > 0 ? shift : 0;
  const int32_t right = shift < 0 ? -shift : 0;
  const int32_t x = static_cast<int32_t>(static_cast<uint32_t>(acc) << left);
  const uint64_t product = static_cast<uint64_t>(int64_t{x} * multiplier + (int64_t{1} << 30));
  const int32_t high = static_cast<int32_t>(static_cast<uint32_t>(product >> 31));
  const int32_t mask = static_cast<int32_t>((uint32_t{1} << right) - 1);
  const int32_t threshold = (mask >> 1) + (high < 0 ? 1 : 0);
  const int32_t up = (high & mask) > threshold ? 1 : 0;
  const int32_t y = static_cast<int32_t>(static_cast<uint32_t>((high >> right) + up) +
                                         static_cast<uint32_t>(output.zero_point));
  const int32_t low = y < output.min ? output.min : y;
  return low > output.max ? output.max : low;
}

// Of a float all sums fit; of a double only the low 32 bits count.
inline __attribute__((always_inline)) int32_t Whole(int32_t sum) { return sum; }
inline __attribute__((always_inline)) int32_t Whole(float sum) { return static_cast<int32_t>(sum); }
inline __attribute__((always_inline)) int32_t Whole(double sum) {
  return static_cast<int32_t>(static_cast<uint32_t>(static_cast<int64_t>(sum)));
}

template <typename Sum>
inline __attribute__((always_inline)) void Rows(const Sum* __restrict sums, int64_t rows,
                                                int64_t channels, const int32_t* __restrict table,
                                                const Output& output, int8_t* __restrict y) {
  const int32_t* __restrict multiplier = table + channels;
  const int32_t* __restrict shift = multiplier + channels;
  for (int64_t r = 0; r < rows; ++r, sums += channels, y += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      const uint32_t sum = static_cast<uint32_t>(Whole(sums[c]));
      const int32_t acc = static_cast<int32_t>(sum + static_cast<uint32_t>(table[c]));
      y[c] = static_cast<int8_t>(Requantized(acc, multiplier[c], shift[c], output));
    }
  }
}

// Sums of a depthwise convolution of one map that already has its pads.
struct Depthwise {
  const int8_t* x;       // [.., width, channels], from the first tap of the first output
  const int8_t* filter;  // [kernel_height, kernel_width, channels]
  int32_t* sums;         // [channels] of scratch
  int8_t* y;             // [height, out_width, channels]
  int64_t width, channels, kernel_height, kernel_width, stride_height, stride_width,
      dilation_height, dilation_width;
  int64_t height, out_width;
};

inline __attribute__((always_inline)) void DepthwiseMap(const Depthwise& d, int32_t zero_in,
                                                        const int32_t* table,
                                                        const Output& output) {
  const int64_t channels = d.channels;
  int32_t* __restrict sums = d.sums;
  for (int64_t oy = 0; oy < d.height; ++oy) {
    for (int64_t ox = 0; ox < d.out_width; ++ox) {
      for (int64_t c = 0; c < channels; ++c) sums[c] = 0;
      const int8_t* __restrict w = d.filter;
      for (int64_t ky = 0; ky < d.kernel_height; ++ky) {
        const int64_t row =
            (oy * d.stride_height + ky * d.dilation_height) * d.width + ox * d.stride_width;
        for (int64_t kx = 0; kx < d.kernel_width; ++kx, w += channels) {
          const int8_t* __restrict x = d.x + (row + kx * d.dilation_width) * channels;
          for (int64_t c = 0; c < channels; ++c) sums[c] += (x[c] - zero_in) * w[c];
        }
      }
      Rows(sums, 1, channels, table, output, d.y + (oy * d.out_width + ox) * channels);
    }
  }
}

int32_t Supported() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl")) {
    return 2;
  }
  if (__builtin_cpu_supports("avx2")) return 1;
#endif
  return 0;
}

int32_t LevelOf(int32_t wanted) {
  const int32_t supported = Supported();
  return wanted < supported ? wanted : supported;
}

}  // namespace

#if defined(__x86_64__)
#define QUANTMCU_AVX2 __attribute__((target("avx2")))
#define QUANTMCU_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#else
#define QUANTMCU_AVX2
#define QUANTMCU_AVX512
#endif

#define QUANTMCU_REQUANTIZE(Name, Sum)                                                       \
  static void Name##0(const Sum* s, int64_t n, int64_t c, const int32_t* t, const Output& o, \
                      int8_t* y) {                                                           \
    Rows(s, n, c, t, o, y);                                                                  \
  }                                                                                          \
  QUANTMCU_AVX2 static void Name##1(const Sum* s, int64_t n, int64_t c, const int32_t* t,    \
                                    const Output& o, int8_t* y) {                            \
    Rows(s, n, c, t, o, y);                                                                  \
  }                                                                                          \
  QUANTMCU_AVX512 static void Name##2(const Sum* s, int64_t n, int64_t c, const int32_t* t,  \
                                      const Output& o, int8_t* y) {                          \
    Rows(s, n, c, t, o, y);                                                                  \
  }                                                                                          \
  extern "C" void QuantMcuHost##Name(int32_t level, const Sum* sums, int64_t rows,           \
                                     int64_t channels, const int32_t* table,                 \
                                     const int32_t* output, int8_t* y) {                     \
    const Output o = {output[0], output[1], output[2]};                                      \
    using Function =                                                                         \
        void (*)(const Sum*, int64_t, int64_t, const int32_t*, const Output&, int8_t*);      \
    const Function functions[] = {Name##0, Name##1, Name##2};                                \
    functions[LevelOf(level)](sums, rows, channels, table, o, y);                            \
  }

QUANTMCU_REQUANTIZE(RequantizeFloat, float)
QUANTMCU_REQUANTIZE(RequantizeDouble, double)
QUANTMCU_REQUANTIZE(RequantizeInt, int32_t)

static void Depthwise0(const Depthwise& d, int32_t zero_in, const int32_t* table,
                       const Output& output) {
  DepthwiseMap(d, zero_in, table, output);
}
QUANTMCU_AVX2 static void Depthwise1(const Depthwise& d, int32_t zero_in, const int32_t* table,
                                     const Output& output) {
  DepthwiseMap(d, zero_in, table, output);
}
QUANTMCU_AVX512 static void Depthwise2(const Depthwise& d, int32_t zero_in, const int32_t* table,
                                       const Output& output) {
  DepthwiseMap(d, zero_in, table, output);
}

// `extents`: rows and columns of x, channels; kernel, stride and dilation, height and width of each; rows and columns
// of y. x holds `num_maps` maps, one behind the other, and so does y. `sums` holds an int32 a channel.
extern "C" void QuantMcuHostDepthwise(int32_t level, const int8_t* x, int64_t num_maps,
                                      const int64_t* extents, const int8_t* filter, int32_t zero_in,
                                      const int32_t* table, const int32_t* output, int32_t* sums,
                                      int8_t* y) {
  using Function = void (*)(const Depthwise&, int32_t, const int32_t*, const Output&);
  const Function functions[] = {Depthwise0, Depthwise1, Depthwise2};
  const int64_t* e = extents;
  const Output o = {output[0], output[1], output[2]};
  for (int64_t n = 0; n < num_maps; ++n) {
    const Depthwise d = {x + n * e[0] * e[1] * e[2],
                         filter,
                         sums,
                         y + n * e[9] * e[10] * e[2],
                         e[1],
                         e[2],
                         e[3],
                         e[4],
                         e[5],
                         e[6],
                         e[7],
                         e[8],
                         e[9],
                         e[10]};
    functions[LevelOf(level)](d, zero_in, table, o);
  }
}
