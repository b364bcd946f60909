// Depthwise convolution with the DSP extension.
//
// What is gained: a block of four channels goes over the whole map before the next one, with its
// weights unpacked and paired once on the stack. Two taps are interleaved, so that each SMLAD
// multiplies both for one channel: 12 instructions for 8 products besides the loads of weights.
// 4 and 2-bit values are not sign-extended but masked where they stand in the upper bits of a
// halfword, which one shift of the sum undoes.
// The zero point is in the bias (bias - zero * sum of weights); a tap outside the map reads zero
// points instead, so that pixels at the border run through the same code.
// Memory   about 1 KB of stack.
// Calls the reference for a depth multiplier other than 1 and for more than 49 taps.
#include "tflm_kernels/cortex_m/fixed_point_dsp.h"
#include "tflm_kernels/cortex_m/four_values_dsp.h"
#include "tflm_kernels/portable/depthwise_conv2d.h"

namespace quantmcu {
namespace dsp {
namespace {

constexpr int32_t kLanes = 4;
constexpr int32_t kMaxTaps = 49;
constexpr int32_t kMaxPairs = (kMaxTaps + 1) / 2;

struct Tables {
  const int32_t* bias;
  const int32_t* multiplier;
  const int32_t* shift;
};

// Four channels, or fewer at the end of a run: then the rest have weight 0.
struct Block {
  int32_t begin;
  int32_t count;
  int32_t num_pairs;
  bool has_small_factors;
  int32_t bias[kLanes];
  SmallFactor small_factors[kLanes];
  AnyFactor any_factors[kLanes];
  int32_t weights[kMaxPairs][kLanes];  // of two taps, as int16 each
};

// Byte distances of the taps from the pixel of the first one, modulo 2^32; the last one is repeated
// if their number is odd.
struct Taps {
  uintptr_t offsets[2 * kMaxPairs];
};

int32_t NumTaps(const Window& window) { return window.kernel_height * window.kernel_width; }

void ReadFactor(const FixedPoint& factor, int32_t lane, Block* block) {
  block->any_factors[lane] = MakeAnyFactor(factor);
  block->small_factors[lane] = MakeSmallFactor(factor);
  block->has_small_factors &= IsSmallFactor(factor);
}

void ReadBlock(const DepthwiseConv2DParams& params, const uint8_t* filter, const Tables& tables,
               int32_t begin, Block* block) {
  const int32_t channels = params.output.channels;
  const int32_t num_taps = NumTaps(params.window);
  const int32_t tap_bytes = RunBytes(channels, params.weight_bits);
  block->begin = begin;
  block->count = channels - begin < kLanes ? channels - begin : kLanes;
  block->num_pairs = (num_taps + 1) / 2;
  block->has_small_factors = true;
  memset(block->weights, 0, sizeof(block->weights));
  memset(block->bias, 0, sizeof(block->bias));
  for (int32_t lane = 0; lane < kLanes; ++lane) {
    const int32_t o = begin + (lane < block->count ? lane : 0);
    ReadFactor({tables.multiplier[o], tables.shift[o]}, lane, block);
    if (lane >= block->count) continue;
    int32_t sum = 0;
    for (int32_t tap = 0; tap < num_taps; ++tap) {
      const int32_t w = LoadValue(filter + tap * tap_bytes, o, params.weight_bits);
      block->weights[tap / 2][lane] |= tap % 2 == 0 ? w & 0xFFFF : WrappingShiftLeft(w, 16);
      sum += w;
    }
    block->bias[lane] = WrappingAdd(tables.bias[o], -params.input.zero_point * sum);
  }
}

Taps TapsInside(const FeatureMap& input, const Window& window) {
  Taps taps;
  int32_t n = 0;
  for (int32_t ky = 0; ky < window.kernel_height; ++ky) {
    for (int32_t kx = 0; kx < window.kernel_width; ++kx) {
      taps.offsets[n++] = static_cast<uintptr_t>(
          PixelOffset(input, ky * window.dilation_height, kx * window.dilation_width));
    }
  }
  if (n % 2 != 0) taps.offsets[n] = taps.offsets[n - 1];
  return taps;
}

// How often the values of LoadPair are doubled.
template <int kBits>
constexpr int32_t kUpShift = kBits == 8 ? 0 : 16 - kBits;

// The values of two taps for each channel, as int16 in the two halves of lanes[channel].
template <int kBits>
inline void LoadPair(const uint8_t* a, const uint8_t* b, uint32_t* lanes) {
  if (kBits == 8) {
    const uint32_t a_word = LoadWord(a);
    const uint32_t b_word = LoadWord(b);
    const uint32_t low = PackLowHalves(a_word, b_word);
    const uint32_t high = PackHighHalves(a_word, b_word);
    lanes[0] = __sxtb16(low);
    lanes[1] = Sxtb16Ror8(low);
    lanes[2] = __sxtb16(high);
    lanes[3] = Sxtb16Ror8(high);
    return;
  }
  const uint32_t fields = kBits == 4 ? LoadHalf(a) | LoadHalf(b) << 16
                                     : uint32_t{a[0]} | uint32_t{b[0]} << 16;
  constexpr uint32_t kTop = kBits == 4 ? 0xF000F000u : 0xC000C000u;
  for (int32_t i = 0; i < kLanes; ++i) lanes[i] = fields << (16 - kBits - i * kBits) & kTop;
}

// sum(x * w), times 2^kUpShift, of the block's channels. first: where the first tap's block stands.
template <int kBits>
inline void SumOfProducts(const Block& block, uintptr_t first, const Taps& taps, int32_t* sums) {
  const uintptr_t* offset = taps.offsets;
  for (int32_t pair = 0; pair < block.num_pairs; ++pair, offset += 2) {
    uint32_t lanes[kLanes];
    LoadPair<kBits>(reinterpret_cast<const uint8_t*>(first + offset[0]),
                    reinterpret_cast<const uint8_t*>(first + offset[1]), lanes);
    for (int32_t i = 0; i < kLanes; ++i) {
      sums[i] = __smlad(lanes[i], block.weights[pair][i], sums[i]);
    }
  }
}

template <int kBits>
inline void OutputPixel(const Block& block, uintptr_t first, const Taps& taps,
                        const FeatureMap& out, const ClampBytes& clamp, uint8_t* run) {
  int32_t y[kLanes] = {};
  if (kUpShift<kBits> == 0) memcpy(y, block.bias, sizeof(y));
  SumOfProducts<kBits>(block, first, taps, y);
  for (int32_t i = 0; i < kLanes; ++i) {
    if (kUpShift<kBits> != 0) y[i] = WrappingAdd(block.bias[i], y[i] >> kUpShift<kBits>);
  }
  if (block.has_small_factors) {
    for (int32_t i = 0; i < kLanes; ++i) {
      y[i] = MultiplyAdd(y[i], block.small_factors[i], out.zero_point);
    }
  } else {
    for (int32_t i = 0; i < kLanes; ++i) {
      y[i] = MultiplyAdd(y[i], block.any_factors[i], out.zero_point);
    }
  }
  const uint32_t values = ClampedBytes(y[0], y[1], y[2], y[3], clamp);
  if (block.count == kLanes) {
    StoreFour(run, out.bits, values);
  } else {
    StoreLast(run, out.bits, block.count, values);
  }
}

// What a pixel at the border, or a block of fewer than four channels, reads instead of the map.
struct Border {
  uint8_t zero_points[kLanes];
  uint8_t values[kMaxTaps][kLanes];
  Taps taps;
};

// The taps of the window at (iy, ix): outside the map zero points, of a short block copies, so that
// nothing behind the map is read. first: as of SumOfProducts.
void TapsAtBorder(const DepthwiseConv2DParams& params, const Block& block, int32_t iy, int32_t ix,
                  uintptr_t first, const Taps& inside, Border* border) {
  const FeatureMap& in = params.input;
  const Window& window = params.window;
  const uintptr_t zero_points = reinterpret_cast<uintptr_t>(border->zero_points) - first;
  Taps& taps = border->taps;
  int32_t n = 0;
  for (int32_t ky = 0; ky < window.kernel_height; ++ky, iy += window.dilation_height) {
    const bool is_row_inside = 0 <= iy && iy < in.height;
    int32_t x = ix;
    for (int32_t kx = 0; kx < window.kernel_width; ++kx, ++n, x += window.dilation_width) {
      const bool is_inside = is_row_inside && 0 <= x && x < in.width;
      taps.offsets[n] = is_inside ? inside.offsets[n] : zero_points;
      if (is_inside && block.count < kLanes) {
        memcpy(border->values[n], reinterpret_cast<const uint8_t*>(first + inside.offsets[n]),
               RunBytes(block.count, in.bits));
        taps.offsets[n] = reinterpret_cast<uintptr_t>(border->values[n]) - first;
      }
    }
  }
  if (n % 2 != 0) taps.offsets[n] = taps.offsets[n - 1];
}

// Output positions [begin, end) of an axis whose windows lie inside the input.
struct Interval {
  int32_t begin;
  int32_t end;
};

Interval InsideInterval(int32_t input, int32_t output, int32_t reach, int32_t stride, int32_t pad) {
  const int32_t begin = pad > 0 ? (pad + stride - 1) / stride : 0;
  const int32_t last = input - reach + pad;
  const int32_t end = last < 0 ? 0 : last / stride + 1;
  return {begin, end < output ? end : output};
}

template <int kBits>
void BlockOfChannels(const DepthwiseConv2DParams& params, const Block& block,
                     const uint8_t* input, uint8_t* output) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  const Window& w = params.window;
  const int32_t reach_y = (w.kernel_height - 1) * w.dilation_height + 1;
  const int32_t reach_x = (w.kernel_width - 1) * w.dilation_width + 1;
  const Interval rows = InsideInterval(in.height, out.height, reach_y, w.stride_height, w.pad_top);
  Interval columns = InsideInterval(in.width, out.width, reach_x, w.stride_width, w.pad_left);
  if (block.count < kLanes) columns = {0, 0};
  const ClampBytes clamp = MakeClampBytes(params.clamp);
  const Taps inside = TapsInside(in, w);
  Border border;
  for (int32_t i = 0; i < kLanes; ++i) StoreValue(border.zero_points, i, kBits, in.zero_point);
  const int32_t step = w.stride_width * PixelBytes(in);
  const int32_t run_step = PixelBytes(out);
  for (int32_t oy = 0; oy < out.height; ++oy) {
    const int32_t iy = oy * w.stride_height - w.pad_top;
    const bool is_row_inside = rows.begin <= oy && oy < rows.end;
    uintptr_t first = reinterpret_cast<uintptr_t>(input) + block.begin * kBits / 8 +
                      PixelOffset(in, iy, -w.pad_left);
    uint8_t* run = output + PixelOffset(out, oy, 0) + block.begin * out.bits / 8;
    for (int32_t ox = 0; ox < out.width; ++ox, first += step, run += run_step) {
      const bool is_inside = is_row_inside && columns.begin <= ox && ox < columns.end;
      if (!is_inside) {
        TapsAtBorder(params, block, iy, ox * w.stride_width - w.pad_left, first, inside, &border);
      }
      OutputPixel<kBits>(block, first, is_inside ? inside : border.taps, out, clamp, run);
    }
  }
}

}  // namespace

void DepthwiseConv2D(const DepthwiseConv2DParams& params, const uint8_t* input,
                     const uint8_t* filter, const int32_t* bias, const int32_t* multiplier,
                     const int32_t* shift, uint8_t* output, uint8_t* scratch) {
  if (params.depth_multiplier != 1 || NumTaps(params.window) > kMaxTaps) {
    reference::DepthwiseConv2D(params, input, filter, bias, multiplier, shift, output, scratch);
    return;
  }
  Block block;
  for (int32_t begin = 0; begin < params.output.channels; begin += kLanes) {
    ReadBlock(params, filter, {bias, multiplier, shift}, begin, &block);
    switch (params.input.bits) {
      case 8:
        BlockOfChannels<8>(params, block, input, output);
        break;
      case 4:
        BlockOfChannels<4>(params, block, input, output);
        break;
      default:
        BlockOfChannels<2>(params, block, input, output);
    }
  }
}

}  // namespace dsp
}  // namespace quantmcu
