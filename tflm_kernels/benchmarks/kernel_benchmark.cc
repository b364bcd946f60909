// Instructions and CRC32 of every kernel variant of a core, over the shapes of a network and all tags.
//
// Prints a line of comma-separated values a case, which tflm_quantmcu/cost/bench.py reads:
//   CASE,variant,op,tag,input HxWxC,output HxWxC,kernel HxW,stride HxW,pad HxW,instructions,crc32
// Instructions are those of the kernel, without those that build its parameters: the same call of a
// function that does nothing is measured behind each, and subtracted.
// A variant may bound the products of a case: then the case has fewer output rows and its line says
// so. Inputs, filters and tables are seeded by the case, so that equal cases have equal outputs in
// all variants and on all cores.
#include <stdint.h>
#include <string.h>

#include "tests/cortex_m/random_values.h"
#include "tflm_kernels/benchmarks/line.h"
#include "tflm_kernels/benchmarks/variants.h"
#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/measure.h"
#include "tflm_kernels/portable/law/crc32.h"

namespace quantmcu {
namespace {

struct Shape {
  const char* op;
  int32_t input[3];
  int32_t output[3];
  int32_t kernel[2];
  int32_t stride[2];
  int32_t pad[2];
};

constexpr Shape kShapes[] = {
#include QUANTMCU_SHAPES
};

constexpr int32_t kMapBytes = 3 << 19;
constexpr int32_t kFilterBytes = 3 << 19;
constexpr int32_t kTableWords = 3 * 4096;
constexpr int32_t kScratchBytes = 1 << 18;

BOARD_ARENA uint8_t g_input0[kMapBytes];
BOARD_ARENA uint8_t g_input1[kMapBytes];
BOARD_ARENA uint8_t g_output[kMapBytes];
BOARD_ARENA uint8_t g_filter[kFilterBytes];
BOARD_ARENA uint8_t g_scratch[kScratchBytes];
BOARD_ARENA int32_t g_table[kTableWords];

struct Op;

// A call of a kernel: what MeasureInstructions gets.
struct Case {
  const Op* op;
  const Variant* variant;
  Shape shape;
  FeatureMap input;
  FeatureMap output;
  int32_t weight_bits;
  FixedPoint factor;
};

ChannelTable Table(const Case& c) { return ChannelTableOf(g_table, c.output.channels); }

Clamp FullClamp(const Case& c) { return {QMin(c.output.bits), QMax(c.output.bits)}; }

Window WindowOf(const Shape& s) {
  return {s.kernel[0], s.kernel[1], s.stride[0], s.stride[1], 1, 1, s.pad[0], s.pad[1]};
}

void RunConv2D(const Case& c) {
  c.variant->conv2d({c.input, c.output, WindowOf(c.shape), FullClamp(c), c.weight_bits}, g_input0,
                    g_filter, Table(c), g_output, g_scratch);
}

void RunDepthwiseConv2D(const Case& c) {
  c.variant->depthwise_conv2d({c.input, c.output, WindowOf(c.shape), FullClamp(c), c.weight_bits,
                               c.output.channels / c.input.channels},
                              g_input0, g_filter, Table(c), g_output, g_scratch);
}

void RunFullyConnected(const Case& c) {
  c.variant->fully_connected({c.input, c.output, FullClamp(c), c.weight_bits}, g_input0, g_filter,
                             Table(c), g_output, g_scratch);
}

template <AddFn* Variant::*kKernel>
void RunAdd(const Case& c) {
  const FixedPoint half = {1 << 30, 0};
  const FixedPoint output = {c.factor.multiplier, c.output.bits - 8 - 18};
  (c.variant->*kKernel)({c.input, c.input, c.output, FullClamp(c), {half, c.factor, output}},
                        g_input0, g_input1, g_output);
}

template <Pool2DFn* Variant::*kKernel>
void RunPool2D(const Case& c) {
  (c.variant->*kKernel)({c.input, c.output, WindowOf(c.shape), FullClamp(c), c.factor}, g_input0,
                        g_output);
}

void Requantize(const Case& c, const FixedPoint& factor) {
  c.variant->requantize({c.input, c.output, c.shape.pad[0], c.shape.pad[1], FullClamp(c), factor},
                        g_input0, g_output);
}

void RunRequantize(const Case& c) { Requantize(c, c.factor); }
// Between equal formats, which kernels copy.
void RunSameRequantize(const Case& c) { Requantize(c, {1 << 30, 1}); }

void RunLut(const Case& c) {
  c.variant->lut({c.input, c.output, c.shape.pad[0], c.shape.pad[1], 0}, g_input0, g_filter,
                 g_output);
}

void RunSumPixels(const Case& c) {
  c.variant->sum_pixels(c.input, g_input0, reinterpret_cast<int32_t*>(g_output));
}

void RunDotPixels(const Case& c) {
  c.variant->dot_pixels(
      {c.input, 0, 0, c.input.height, c.input.width, c.output.channels, c.weight_bits}, g_input0,
      g_filter, reinterpret_cast<int32_t*>(g_output));
}

// As many inputs of the shape as the output has channels for, then a part of one.
void RunGatherChannels(const Case& c) {
  GatherChannelsParams params = {c.output, FullClamp(c), 0, 0, {}};
  const uint8_t* inputs[kMaxGatherInputs];
  ChannelRun runs[kMaxGatherInputs];
  const FixedPoint same = {1 << 30, 1};
  for (int32_t left = c.output.channels; left > 0; left -= c.input.channels) {
    const int32_t j = params.num_inputs++;
    params.inputs[j] = {c.input, same};
    inputs[j] = g_input0;
    runs[j] = {j * c.input.channels, left < c.input.channels ? left : c.input.channels};
  }
  params.num_runs = params.num_inputs;
  c.variant->gather_channels(params, inputs, runs, g_output);
}

// By the factor 2, or blocks of 2; the input of the shape is the output's extent, of which less is read.
template <typename Fn, Fn* Variant::*kKernel>
void RunUpsampling(const Case& c) {
  const FixedPoint same = {1 << 30, 1};
  (c.variant->*kKernel)({c.input, c.output, 2, 2, 0, 0, FullClamp(c), same}, g_input0, g_output);
}

// By the factor 2 with half pixel centres; the input of the shape is the output's extent, of which less is read.
void RunResizeBilinear(const Case& c) {
  const ResizeAxis rows = {512, -256, c.input.height, 0};
  const ResizeAxis columns = {512, -256, c.input.width, 0};
  c.variant->resize_bilinear({c.input, c.output, rows, columns, FullClamp(c), {1 << 30, 1}},
                             g_input0, g_output);
}

void RunProduct(const Case& c) {
  c.variant->product({c.input, c.input, c.output, FullClamp(c), c.factor}, g_input0, g_input1,
                     g_output);
}

template <typename... Arguments>
[[gnu::noipa]] void Nothing(Arguments...) {
  asm volatile("");
}

constexpr Variant kNoKernels = {"nothing", 0,       Nothing, Nothing, Nothing, Nothing,
                                Nothing,   Nothing, Nothing, Nothing, Nothing, Nothing,
                                Nothing,   Nothing, Nothing, Nothing, Nothing, Nothing};

struct Op {
  const char* name;
  void (*run)(const Case&);
  bool has_weights;
  bool is_depthwise;  // its filter's runs are the taps
};

constexpr Op kOps[] = {
    {"conv2d", RunConv2D, true, false},
    {"depthwise_conv2d", RunDepthwiseConv2D, true, true},
    {"fully_connected", RunFullyConnected, true, false},
    {"add", RunAdd<&Variant::add>, false, false},
    {"average_pool2d", RunPool2D<&Variant::average_pool2d>, false, false},
    {"max_pool2d", RunPool2D<&Variant::max_pool2d>, false, false},
    {"requantize", RunRequantize, false, false},
    {"requantize_same", RunSameRequantize, false, false},
    {"lut", RunLut, false, false},
    {"sum_pixels", RunSumPixels, false, false},
    {"dot_pixels", RunDotPixels, true, false},
    {"gather_channels", RunGatherChannels, false, false},
    {"resize_nearest", RunUpsampling<ResizeNearestFn, &Variant::resize_nearest>, false, false},
    {"depth_to_space", RunUpsampling<DepthToSpaceFn, &Variant::depth_to_space>, false, false},
    {"resize_bilinear", RunResizeBilinear, false, false},
    {"product", RunProduct, false, false},
    {"difference", RunAdd<&Variant::difference>, false, false},
};

const Op& OpOf(const Shape& shape) {
  for (const Op& op : kOps) {
    if (strcmp(op.name, shape.op) == 0) return op;
  }
  BoardWrite("there is no op ");
  BoardWrite(shape.op);
  BoardExit(1);
}

// The products of one output row, or for ops without weights the values that it reads.
int64_t RowWork(const Op& op, const Shape& s) {
  const int64_t taps = int64_t{s.kernel[0]} * s.kernel[1];
  const int64_t per_tap = op.has_weights && !op.is_depthwise ? s.input[2] : 1;
  return taps * per_tap * s.output[1] * s.output[2];
}

void LimitRows(const Op& op, int64_t max_work, Shape* shape) {
  const int64_t max_rows = max_work / RowWork(op, *shape);
  if (max_rows >= shape->output[0]) return;
  const int32_t rows = max_rows < 1 ? 1 : static_cast<int32_t>(max_rows);
  shape->output[0] = rows;
  const int32_t needed = (rows - 1) * shape->stride[0] - shape->pad[0] + shape->kernel[0];
  if (needed < shape->input[0]) shape->input[0] = needed;
}

FeatureMap MapOf(const int32_t* shape, int32_t bits) {
  FeatureMap map = {shape[0], shape[1], shape[2], 0, bits, -1};
  map.row_bytes = map.width * PixelBytes(map);
  return map;
}

// Where runs have no unused bits, any bytes are values.
void FillRuns(int32_t num_runs, int32_t run_length, int32_t bits, uint8_t* runs,
              RandomValues* random) {
  if (run_length * bits % 8 != 0) {
    random->FillRuns(num_runs, run_length, bits, runs);
    return;
  }
  for (int32_t i = 0; i < num_runs * RunBytes(run_length, bits); i += 4) {
    const int32_t word = random->Uniform(-(1 << 30), INT32_MAX);
    memcpy(runs + i, &word, sizeof(word));
  }
}

void FillMap(const FeatureMap& map, uint8_t* pixels, RandomValues* random) {
  FillRuns(map.height * map.width, map.channels, map.bits, pixels, random);
}

void Fill(const Op& op, const Case& c) {
  RandomValues random(1);
  FillMap(c.input, g_input0, &random);
  FillMap(c.input, g_input1, &random);
  if (op.run == RunLut) FillRuns(NumLutEntries(c.input.bits), 1, c.output.bits, g_filter, &random);
  if (!op.has_weights) return;
  const int32_t taps = c.shape.kernel[0] * c.shape.kernel[1];
  const int32_t per_output = op.is_depthwise ? taps : taps * c.input.channels;
  FillRuns(op.is_depthwise ? taps : taps * c.output.channels,
           op.is_depthwise ? c.output.channels : c.input.channels, c.weight_bits, g_filter,
           &random);
  random.FillTable(c.output.channels, per_output, c.input.bits, c.weight_bits, c.output.bits,
                   g_table);
}

void RunCase(const void* argument) {
  const Case& c = *static_cast<const Case*>(argument);
  c.op->run(c);
}

void Measure(const Op& op, Shape shape, const Variant& variant, int32_t bits, int32_t weight_bits) {
  LimitRows(op, variant.max_work, &shape);
  Case c = {
      &op,         &variant,        shape, MapOf(shape.input, bits), MapOf(shape.output, bits),
      weight_bits, {1518500250, -1}};
  Fill(op, c);
  const int32_t output_bytes = c.output.height * c.output.row_bytes;
  memset(g_output, 0, output_bytes);
  uint64_t instructions = MeasureInstructions(RunCase, &c);
  c.variant = &kNoKernels;
  instructions -= MeasureInstructions(RunCase, &c);
  Line line;
  line.Text("CASE,").Text(variant.name).Text(",").Text(op.name).Text(",a").Number(bits);
  if (op.has_weights) line.Text("w").Number(weight_bits);
  line.Numbers(shape.input, 3).Numbers(shape.output, 3).Numbers(shape.kernel, 2);
  line.Numbers(shape.stride, 2).Numbers(shape.pad, 2).Text(",").Number(instructions);
  line.Text(",").Number(Crc32(g_output, output_bytes)).Write();
}

}  // namespace
}  // namespace quantmcu

int main() {
  using namespace quantmcu;
  for (const Variant& variant : kVariants) {
    for (const Shape& shape : kShapes) {
      const Op& op = OpOf(shape);
      for (int32_t bits = 8; bits >= 2; bits /= 2) {
        for (int32_t weight_bits = 8; weight_bits >= (op.has_weights ? 2 : 8); weight_bits /= 2) {
          Measure(op, shape, variant, bits, weight_bits);
        }
      }
    }
  }
  return 0;
}
