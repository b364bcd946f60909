// Depthwise convolution with the DSP extension.
//
// What is gained: a block of four channels goes over the whole map before the next one, with its
// weights unpacked and paired once on the stack. Two taps are interleaved, so that each SMLAD
// multiplies both for one channel: 12 instructions for 8 products besides the loads of weights.
// 4 and 2-bit values are not sign-extended: what is added to them to make them positive is, like the
// zero point, in the bias.
// The map is cut into rectangles of output pixels whose windows have the same taps inside (nine of
// them for a 3x3 window with padding): within one, nothing asks where the border is.
// Memory   about 1.2 KB of stack.
// Calls the reference for a depth multiplier other than 1 and for more than 49 taps.
#include "tflm_kernels/cortex_m/fixed_point_dsp.h"
#include "tflm_kernels/cortex_m/four_values_dsp.h"
#include "tflm_kernels/cortex_m/kernels_dsp.h"

namespace quantmcu {
namespace dsp {
namespace {

constexpr int32_t kLanes = 4;
constexpr int32_t kMaxTaps = 49;

struct Tables {
  const int32_t* bias;
  const int32_t* multiplier;
  const int32_t* shift;
};

// Four channels, or fewer at the end of a run: then the rest have weight 0.
struct Block {
  int32_t begin;
  int32_t count;
  bool has_small_factors;
  SmallFactor small_factors[kLanes];
  AnyFactor any_factors[kLanes];
  int32_t bias[kLanes];
  int8_t weights[kMaxTaps][kLanes];
};

// Two taps of a block.
struct TapPair {
  uint32_t offsets[2];       // bytes from where the block stands in the window's first pixel
  uint32_t weights[kLanes];  // as int16 each
};

// The taps of a block that lie inside the map.
struct Taps {
  int32_t count;
  FourSums bias;  // less zero point * sum of weights
  TapPair pairs[(kMaxTaps + 1) / 2];
};

int32_t NumTaps(const Window& window) { return window.kernel_height * window.kernel_width; }

void ReadBlock(const DepthwiseConv2DParams& params, const uint8_t* filter, const Tables& tables,
               int32_t begin, Block* block) {
  const int32_t channels = params.output.channels;
  const int32_t tap_bytes = RunBytes(channels, params.weight_bits);
  *block = {};
  block->begin = begin;
  block->count = channels - begin < kLanes ? channels - begin : kLanes;
  block->has_small_factors = true;
  for (int32_t lane = 0; lane < block->count; ++lane) {
    const int32_t o = begin + lane;
    const FixedPoint factor = {tables.multiplier[o], tables.shift[o]};
    block->any_factors[lane] = MakeAnyFactor(factor);
    block->small_factors[lane] = MakeSmallFactor(factor);
    block->has_small_factors &= IsSmallFactor(factor);
    block->bias[lane] = tables.bias[o];
    for (int32_t tap = 0; tap < NumTaps(params.window); ++tap) {
      block->weights[tap][lane] =
          static_cast<int8_t>(LoadValue(filter + tap * tap_bytes, o, params.weight_bits));
    }
  }
}

// What LoadPair adds to each value, so that it is not negative.
int32_t AddedToValues(int32_t bits) { return bits == 8 ? 0 : 1 << (bits - 1); }

// A field of kBits in both halves. Hidden from the compiler, which would make it an immediate: as a
// register it can be ANDed with a shifted one.
template <int kBits>
inline uint32_t LowFields() {
  uint32_t fields = kBits == 4 ? 0x000F000Fu : 0x00030003u;
  asm("" : "+r"(fields));
  return fields;
}

// The values of two taps, each plus AddedToValues, as int16 in the two halves of lanes[channel].
template <int kBits>
inline void LoadPair(const uint8_t* a, const uint8_t* b, uint32_t low_fields, uint32_t* lanes) {
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
  uint32_t fields =
      kBits == 4 ? LoadHalf(a) | LoadHalf(b) << 16 : uint32_t{a[0]} | uint32_t{b[0]} << 16;
  fields ^= kBits == 4 ? 0x88888888u : 0xAAAAAAAAu;
  for (int32_t i = 0; i < kLanes; ++i) lanes[i] = fields >> (i * kBits) & low_fields;
}

// Adds the products of one tap of four int8; its weights are the low halves of four words.
inline void AddTap(const uint8_t* tap, const uint32_t* weights, FourSums& sums) {
  const uint32_t word = LoadWord(tap);
  const uint32_t even = __sxtb16(word);
  const uint32_t odd = Sxtb16Ror8(word);
  sums.s0 = __smlabb(even, weights[0], sums.s0);
  sums.s1 = __smlabb(odd, weights[1], sums.s1);
  sums.s2 = __smlatb(even, weights[2], sums.s2);
  sums.s3 = __smlatb(odd, weights[3], sums.s3);
}

template <typename Factor>
inline FourSums Rescaled(const FourSums& y, const Factor* factors, int32_t zero_point) {
  return {MultiplyAdd(y.s0, factors[0], zero_point), MultiplyAdd(y.s1, factors[1], zero_point),
          MultiplyAdd(y.s2, factors[2], zero_point), MultiplyAdd(y.s3, factors[3], zero_point)};
}

// A rectangle of output pixels whose windows have the same taps inside.
struct Pixels {
  int32_t height;
  int32_t width;
  uint32_t first;  // where the block stands in the first window's first pixel
  int32_t step;
  int32_t row_step;
  uint8_t* run;
  int32_t run_step;
  int32_t run_row_step;
};

// The end of a run, out of the way of the rest.
[[gnu::noinline]] void StoreEnd(uint8_t* run, int32_t bits, int32_t count, uint32_t values) {
  StoreLast(run, bits, count, values);
}

// kTaps: taps.count, or 0 for any.
template <int kBits, int kTaps>
[[gnu::noinline]] void OutputPixels(const Block& block, const Taps& taps, const FeatureMap& out,
                                    const ClampBytes& clamp, const Pixels& pixels) {
  constexpr bool kHasSingle = kBits == 8 && kTaps % 2 != 0;
  const int32_t num_pairs = kTaps > 0 ? (kTaps + !kHasSingle) / 2 : (taps.count + 1) / 2;
  const uint32_t low_fields = LowFields<kBits>();
  const bool is_word = out.bits == 8 && block.count == kLanes;
  for (int32_t y = 0; y < pixels.height; ++y) {
    uint32_t first = pixels.first + y * pixels.row_step;
    uint8_t* run = pixels.run + y * pixels.run_row_step;
    for (int32_t n = pixels.width; n > 0; --n, first += pixels.step, run += pixels.run_step) {
      FourSums sums = taps.bias;
      const uint32_t* words = taps.pairs[0].offsets;
      for (int32_t left = num_pairs; left > 0; --left) {
        uint32_t a;
        uint32_t b;
        uint32_t lanes[kLanes];
        LoadTwo(words, &a, &b);
        LoadPair<kBits>(reinterpret_cast<const uint8_t*>(first + a),
                        reinterpret_cast<const uint8_t*>(first + b), low_fields, lanes);
        AddFourProducts(lanes, words, sums);
      }
      if (kHasSingle) {
        AddTap(reinterpret_cast<const uint8_t*>(first + words[0]), words + 2, sums);
      }
      sums = block.has_small_factors ? Rescaled(sums, block.small_factors, out.zero_point)
                                     : Rescaled(sums, block.any_factors, out.zero_point);
      const uint32_t values = ClampedBytes(sums.s0, sums.s1, sums.s2, sums.s3, clamp);
      if (is_word) {
        StoreWord(run, values);
      } else if (block.count == kLanes) {
        StoreFour(run, out.bits, values);
      } else {
        StoreEnd(run, out.bits, block.count, values);
      }
    }
  }
}

template <int kBits>
auto OutputPixelsOf(int32_t num_taps) {
  return num_taps == 9 ? OutputPixels<kBits, 9> : OutputPixels<kBits, 0>;
}

auto OutputPixelsOf(int32_t bits, int32_t num_taps) {
  return bits == 8   ? OutputPixelsOf<8>(num_taps)
         : bits == 4 ? OutputPixelsOf<4>(num_taps)
                     : OutputPixelsOf<2>(num_taps);
}

// One axis of the window.
struct Axis {
  int32_t input;
  int32_t output;
  int32_t kernel;
  int32_t stride;
  int32_t dilation;
  int32_t pad;
};

// Output positions [begin, end) whose windows have the taps [first_tap, last_tap) inside.
struct Segment {
  int32_t begin;
  int32_t end;
  int32_t first_tap;
  int32_t last_tap;
};

Segment SegmentAt(const Axis& axis, int32_t begin) {
  const int32_t first_input = begin * axis.stride - axis.pad;
  // How many further windows lie inside as a whole.
  const int32_t room = axis.input - 1 - (axis.kernel - 1) * axis.dilation - first_input;
  if (first_input >= 0 && room >= 0) {
    const int32_t end = begin + room / axis.stride + 1;
    return {begin, end < axis.output ? end : axis.output, 0, axis.kernel};
  }
  Segment segment = {begin, begin + 1, 0, 0};
  for (int32_t k = 0; k < axis.kernel; ++k) {
    const int32_t position = first_input + k * axis.dilation;
    if (position < 0) segment.first_tap = k + 1;
    if (position < axis.input) segment.last_tap = k + 1;
  }
  return segment;
}

// Bytes between neighbouring taps.
struct TapSteps {
  int32_t row;
  int32_t column;
};

void SetTaps(const DepthwiseConv2DParams& params, const Block& block, const Segment& rows,
             const Segment& columns, const TapSteps& steps, Taps* taps) {
  const int32_t zero_point = params.input.zero_point + AddedToValues(params.input.bits);
  int32_t bias[kLanes];
  memcpy(bias, block.bias, sizeof(bias));
  int32_t n = 0;
  for (int32_t ky = rows.first_tap; ky < rows.last_tap; ++ky) {
    for (int32_t kx = columns.first_tap; kx < columns.last_tap; ++kx, ++n) {
      TapPair& pair = taps->pairs[n / 2];
      pair.offsets[n % 2] = ky * steps.row + kx * steps.column;
      const int8_t* weights = block.weights[ky * params.window.kernel_width + kx];
      for (int32_t lane = 0; lane < kLanes; ++lane) {
        const uint32_t w = static_cast<uint16_t>(weights[lane]);
        pair.weights[lane] = n % 2 == 0 ? w : pair.weights[lane] | w << 16;
        bias[lane] = WrappingAdd(bias[lane], -zero_point * weights[lane]);
      }
    }
  }
  taps->count = n;
  taps->bias = {bias[0], bias[1], bias[2], bias[3]};
  // The second tap of the last pair has weight 0.
  if (n % 2 != 0) taps->pairs[n / 2].offsets[1] = taps->pairs[n / 2].offsets[0];
}

// Where the block's bytes of input pixel (y, x) stand; outside the map too.
uint32_t AddressOf(const FeatureMap& in, const Block& block, const uint8_t* input, int32_t y,
                   int32_t x) {
  return reinterpret_cast<uintptr_t>(input) + block.begin * in.bits / 8 + PixelOffset(in, y, x);
}

void OutputRectangle(const DepthwiseConv2DParams& params, const Block& block, const Segment& rows,
                     const Segment& columns, const uint8_t* input, uint8_t* output) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  const Window& w = params.window;
  Taps taps;
  SetTaps(params, block, rows, columns,
          {w.dilation_height * in.row_bytes, w.dilation_width * PixelBytes(in)}, &taps);
  const Pixels pixels = {
      rows.end - rows.begin,
      columns.end - columns.begin,
      AddressOf(in, block, input, rows.begin * w.stride_height - w.pad_top,
                columns.begin * w.stride_width - w.pad_left),
      w.stride_width * PixelBytes(in),
      w.stride_height * in.row_bytes,
      output + PixelOffset(out, rows.begin, columns.begin) + block.begin * out.bits / 8,
      PixelBytes(out),
      out.row_bytes};
  OutputPixelsOf(in.bits, taps.count)(block, taps, out, MakeClampBytes(params.clamp), pixels);
}

// Of a block of fewer than four channels. Its taps are copied, so that nothing behind the map is read.
void OutputShortBlock(const DepthwiseConv2DParams& params, const Block& block, const Segment& rows,
                      const Segment& columns, const uint8_t* input, uint8_t* output) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  const Window& w = params.window;
  uint8_t values[kMaxTaps][kLanes];
  Taps taps;
  SetTaps(params, block, rows, columns, {w.kernel_width * kLanes, kLanes}, &taps);
  for (int32_t oy = rows.begin; oy < rows.end; ++oy) {
    for (int32_t ox = columns.begin; ox < columns.end; ++ox) {
      for (int32_t ky = rows.first_tap; ky < rows.last_tap; ++ky) {
        for (int32_t kx = columns.first_tap; kx < columns.last_tap; ++kx) {
          const uint32_t tap =
              AddressOf(in, block, input, oy * w.stride_height - w.pad_top + ky * w.dilation_height,
                        ox * w.stride_width - w.pad_left + kx * w.dilation_width);
          memcpy(values[ky * w.kernel_width + kx], reinterpret_cast<const uint8_t*>(tap),
                 RunBytes(block.count, in.bits));
        }
      }
      uint8_t* run = output + PixelOffset(out, oy, ox) + block.begin * out.bits / 8;
      const uint32_t first = reinterpret_cast<uintptr_t>(values);
      OutputPixelsOf(in.bits, 0)(block, taps, out, MakeClampBytes(params.clamp),
                                 {1, 1, first, 0, 0, run, 0, 0});
    }
  }
}

void OutputBlock(const DepthwiseConv2DParams& params, const Block& block, const uint8_t* input,
                 uint8_t* output) {
  const FeatureMap& in = params.input;
  const FeatureMap& out = params.output;
  const Window& w = params.window;
  const Axis y_axis = {in.height,       out.height,        w.kernel_height,
                       w.stride_height, w.dilation_height, w.pad_top};
  const Axis x_axis = {in.width,       out.width,        w.kernel_width,
                       w.stride_width, w.dilation_width, w.pad_left};
  const auto output_rectangle = block.count == kLanes ? OutputRectangle : OutputShortBlock;
  Segment rows;
  Segment columns;
  for (int32_t oy = 0; oy < out.height; oy = rows.end) {
    rows = SegmentAt(y_axis, oy);
    for (int32_t ox = 0; ox < out.width; ox = columns.end) {
      columns = SegmentAt(x_axis, ox);
      output_rectangle(params, block, rows, columns, input, output);
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
    OutputBlock(params, block, input, output);
  }
}

}  // namespace dsp
}  // namespace quantmcu
