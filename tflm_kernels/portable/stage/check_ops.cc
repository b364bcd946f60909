#include "tflm_kernels/portable/stage/check_ops.h"

#include "tflm_kernels/portable/stage/check_kernels.h"
#include "tflm_kernels/portable/stage/checks.h"

namespace quantmcu {
namespace {

bool IsPool(const StageOp& op) {
  return op.kind == kStageAveragePool2D || op.kind == kStageMaxPool2D;
}

// Of gather_channels: the inputs behind input0, up to map `last`, and that nothing stands behind them.
bool CheckGathered(const StageOp& op, int32_t i, int32_t last, StageError* error) {
  if (op.kind != kStageGatherChannels) return true;
  const int32_t num_inputs = NumInputs(op);
  for (int32_t j = 1; j < kMaxGatherInputs; ++j) {
    const int32_t map = InputOf(op, j);
    if (!Require(j < num_inputs ? map <= last : map == -1,
                 {"op", i, "an input must be written before, -1 behind the last", map}, error)) {
      return false;
    }
  }
  return Require(op.window.pad_top == 0 && op.window.pad_left == 0,
                 {"op", i, "pads must be 0 where not used", op.window.pad_top}, error);
}

// Op i writes the map behind `last`, so it may read those up to that.
bool CheckOrder(const PatchStageParams& p, int32_t i, StageError* error) {
  const StageOp& op = p.ops[i];
  const int32_t last = NumStageInputs(p.header) + i - 1;
  const bool is_gather = op.kind == kStageGatherChannels;
  const bool is_input1_right =
      CombinesTwo(op) ? InRange(op.input1, 0, last) : is_gather || op.input1 == -1;
  return Require(InRange(op.kind, kStageConv2D, kStageSub),
                 {"op", i, "kind must be 0 to 16", op.kind}, error) &&
         CheckGathered(op, i, last, error) &&
         Require(!IsReduction(op) || (i > 0 && i == p.header.num_ops - 1),
                 {"op", i, "a reduction must be the last op, behind another", op.kind}, error) &&
         Require(!IsReduction(op) || op.input0 == last,
                 {"op", i, "a reduction must read the map before Y", op.input0}, error) &&
         Require(InRange(op.input0, 0, last),
                 {"op", i, "input0 must be an input or written by an op before", op.input0},
                 error) &&
         Require(is_input1_right,
                 {"op", i, "input1 must be as input0 for add, mul and sub, else -1", op.input1},
                 error) &&
         Require(op.output == last + 1,
                 {"op", i, "op i must write map i + the number of inputs", op.output}, error);
}

// Along one axis of a bilinear resize: whether its window holds the pixels that are mixed for each of the output's.
bool HoldsNeighbours(int32_t size, int32_t factor, int32_t kernel, int32_t pad, int32_t mode) {
  const int32_t wanted = size * factor;
  const ResizeSteps steps = ResizeStepsOf(size, wanted, mode);
  for (int32_t i = 0; i < wanted; ++i) {
    const Neighbours mixed = NeighboursAt(i * steps.step + steps.first, size);
    const int32_t first = i - pad;
    const int32_t last = first + kernel - 1;
    if (mixed.lower >= size || mixed.lower * factor + factor <= first ||
        last < mixed.upper * factor) {
      return false;
    }
  }
  return true;
}

bool CheckMixed(const PatchStageParams& p, int32_t i, StageError* error) {
  const StageOp& op = p.ops[i];
  const Window& w = op.window;
  const StageMap& in = p.maps[op.input0];
  const int32_t mode = op.depth_multiplier;
  return Require(InRange(mode, 0, kAlignedCorners),
                 {"op", i, "the mode of a resize must be 0 to 2", mode}, error) &&
         Require(
             InRange(w.kernel_height, 1, kMaxExtent) && InRange(w.kernel_width, 1, kMaxExtent) &&
                 InRange(w.pad_top, 0, kMaxExtent) && InRange(w.pad_left, 0, kMaxExtent) &&
                 w.dilation_height == 1 && w.dilation_width == 1 &&
                 HoldsNeighbours(in.height, w.stride_height, w.kernel_height, w.pad_top, mode) &&
                 HoldsNeighbours(in.width, w.stride_width, w.kernel_width, w.pad_left, mode),
             {"op", i, "the window of a resize must hold all pixels that it mixes",
              w.kernel_height},
             error);
}

// Of an op that makes its map larger; the strides are the factors.
bool CheckFactors(const PatchStageParams& p, int32_t i, StageError* error) {
  const StageOp& op = p.ops[i];
  const Window& w = op.window;
  const StageMap& in = p.maps[op.input0];
  const StageMap& out = p.maps[op.output];
  const int32_t ones[] = {w.kernel_height, w.kernel_width, w.dilation_height, w.dilation_width};
  const bool is_mixed = op.kind == kStageResizeBilinear;
  bool is_plain = w.pad_top == 0 && w.pad_left == 0;
  for (int32_t word : ones) is_plain = is_plain && word == 1;
  if (!Require(is_mixed || is_plain,
               {"op", i, "a resize has kernel and dilation 1, pads 0", op.kind}, error)) {
    return false;
  }
  return Require(SaturatingProduct(in.height, w.stride_height) == out.height &&
                     SaturatingProduct(in.width, w.stride_width) == out.width,
                 {"op", i, "a resize must make the map larger by its strides", w.stride_height},
                 error) &&
         (!is_mixed || CheckMixed(p, i, error));
}

bool CheckWindow(const PatchStageParams& p, int32_t i, StageError* error) {
  const StageOp& op = p.ops[i];
  if (Upsamples(op)) return CheckFactors(p, i, error);
  const Window& w = WindowOf(op);
  const int32_t extents[] = {w.kernel_height, w.kernel_width,    w.stride_height,
                             w.stride_width,  w.dilation_height, w.dilation_width};
  const int32_t largest = IsConvolution(op) || IsPool(op) ? kMaxExtent : 1;
  for (int32_t extent : extents) {
    if (!Require(
            InRange(extent, 1, largest),
            {"op", i, "kernel, stride and dilation must be 1 to 32767, 1 where not used", extent},
            error)) {
      return false;
    }
  }
  const int32_t largest_pad = CombinesTwo(op) || IsReduction(op) ? 0 : kMaxExtent;
  const StageMap& in = p.maps[op.input0];
  const StageMap& out = p.maps[op.output];
  return Require(InRange(w.pad_top, -largest_pad, largest_pad),
                 {"op", i, "pad_top must be -32767 to 32767, 0 where not used", w.pad_top},
                 error) &&
         Require(InRange(w.pad_left, -largest_pad, largest_pad),
                 {"op", i, "pad_left must be -32767 to 32767, 0 where not used", w.pad_left},
                 error) &&
         Require(!IsPool(op) || PoolWindowFits(w, in.height, in.width, out.height, out.width),
                 {"op", i, "a pool must have dilation 1, at most 2^23 taps and no empty window",
                  op.kind},
                 error);
}

bool CheckWeightBits(const StageOp& op, int32_t i, StageError* error) {
  if (!HasFilter(op)) return true;
  return Require(InRange(op.weight_bits >> 8, 0, kMaxFilterLayout),
                 {"op", i, "the filter's layout must be 0", op.weight_bits >> 8}, error) &&
         Require(IsBitWidth(op.weight_bits),
                 {"op", i, "weight_bits must be 8, 4 or 2", op.weight_bits}, error);
}

bool SameShape(const StageMap& a, const StageMap& b) {
  return a.height == b.height && a.width == b.width && a.channels == b.channels;
}

// A gate is whole before the first tile.
bool CheckGate(const PatchStageParams& p, int32_t i, StageError* error) {
  const StageOp& op = p.ops[i];
  const StageMap& out = p.maps[op.output];
  return Require(InRange(op.input1, 1, NumStageInputs(p.header) - 1),
                 {"op", i, "a gate must be an input behind X", op.input1}, error) &&
         Require(SameShape(p.maps[op.input0], out) && p.maps[op.input1].channels == out.channels,
                 {"op", i, "a gated map needs the output's shape, its gate as many channels",
                  op.output},
                 error);
}

// The channels that its inputs have together; what they hold, and the runs, the tables are checked for.
bool CheckGatheredShapes(const PatchStageParams& p, int32_t i, StageError* error) {
  const StageOp& op = p.ops[i];
  const StageMap& out = p.maps[op.output];
  for (int32_t j = 0; j < NumInputs(op); ++j) {
    const StageMap& in = p.maps[InputOf(op, j)];
    if (!Require(in.height == out.height && in.width == out.width,
                 {"op", i, "gather_channels needs inputs of the output's height and width", j},
                 error)) {
      return false;
    }
  }
  return Require(InRange(op.depth_multiplier, 1, out.channels),
                 {"op", i, "gather_channels needs 1 run to one a channel", op.depth_multiplier},
                 error);
}

bool CheckBlock(const PatchStageParams& p, int32_t i, StageError* error) {
  const StageOp& op = p.ops[i];
  const int64_t parts = SaturatingProduct(op.window.stride_height, op.window.stride_width);
  return Require(
      SaturatingProduct(parts, p.maps[op.output].channels) == p.maps[op.input0].channels,
      {"op", i, "depth_to_space must make blocks of pixels of all of its channels", op.output},
      error);
}

bool CheckReducedShape(const StageMap& in, const StageMap& out, int32_t i, StageError* error) {
  return Require(out.height == 1 && out.width == 1,
                 {"op", i, "a reduction must make one pixel", out.height}, error) &&
         Require(in.height * in.width <= kMaxPoolTaps,
                 {"op", i, "a reduction must be of at most 2^23 pixels", in.height}, error);
}

bool CheckShapes(const PatchStageParams& p, int32_t i, StageError* error) {
  const StageOp& op = p.ops[i];
  const StageMap& in = p.maps[op.input0];
  const StageMap& out = p.maps[op.output];
  switch (op.kind) {
    case kStageConv2D:
      return true;
    case kStageDepthwiseConv2D:
      return Require(op.depth_multiplier >= 1 &&
                         SaturatingProduct(in.channels, op.depth_multiplier) == out.channels,
                     {"op", i, "output channels must be input channels times depth_multiplier",
                      op.depth_multiplier},
                     error);
    case kStageAdd:
    case kStageMul:
    case kStageSub:
      if (IsGated(p, op)) return CheckGate(p, i, error);
      return Require(SameShape(in, out) && SameShape(p.maps[op.input1], out),
                     {"op", i, "add, mul and sub need inputs of the output's shape", op.output},
                     error);
    case kStageGatherChannels:
      return CheckGatheredShapes(p, i, error);
    case kStageDepthToSpace:
      return CheckBlock(p, i, error);
    case kStageMean:
    case kStageGlobalAveragePool2D:
      return CheckReducedShape(in, out, i, error) &&
             Require(in.channels == out.channels,
                     {"op", i, "mean and pools keep the channels", out.channels}, error);
    case kStageFullyConnected:
      return CheckReducedShape(in, out, i, error) &&
             Require(in.channels % (8 / op.weight_bits) == 0,
                     {"op", i, "a pixel's weights must fill whole bytes", in.channels}, error);
    default:
      return Require(in.channels == out.channels,
                     {"op", i, "pools, requantize and lut keep the channels", out.channels}, error);
  }
}

// The bytes of the filter that the op's shapes imply.
int64_t FilterBytes(const PatchStageParams& p, const StageOp& op) {
  const int64_t taps = NumTaps(p, op);
  const int32_t output_channels = p.maps[op.output].channels;
  if (op.kind == kStageDepthwiseConv2D) {
    return SaturatingProduct(taps, RunBytes(output_channels, op.weight_bits));
  }
  const int32_t run_bytes = RunBytes(p.maps[op.input0].channels, op.weight_bits);
  return SaturatingProduct(SaturatingProduct(output_channels, taps), run_bytes);
}

bool CheckFilter(const PatchStageParams& p, int32_t i, int32_t num_filter_bytes,
                 StageError* error) {
  const StageOp& op = p.ops[i];
  if (op.kind != kStageDepthwiseConv2D && op.kind != kStageGatherChannels &&
      op.kind != kStageResizeBilinear &&
      !Require(op.depth_multiplier == 0,
               {"op", i, "depth_multiplier must be 0 but for depthwise", op.depth_multiplier},
               error)) {
    return false;
  }
  if (!HasFilter(op)) {
    return Require(op.weight_bits == 0 && op.filter_offset == 0 && op.filter_bytes == 0,
                   {"op", i, "weight_bits and filter must be 0 for ops without a filter", op.kind},
                   error);
  }
  return Require(op.filter_bytes == FilterBytes(p, op),
                 {"op", i, "filter_bytes must be what the shapes imply", op.filter_bytes}, error) &&
         Require(op.filter_offset >= 0 && op.filter_offset % kAlignment == 0,
                 {"op", i, "filter_offset must be a multiple of 4", op.filter_offset}, error) &&
         Require(int64_t{op.filter_offset} + op.filter_bytes <= num_filter_bytes,
                 {"op", i, "the filter ends behind the filters tensor", op.filter_offset}, error);
}

}  // namespace

bool CheckOps(const PatchStageParams& p, const Kernels& kernels, int32_t num_filter_bytes,
              StageError* error) {
  for (int32_t i = 0; i < p.header.num_ops; ++i) {
    if (!CheckOrder(p, i, error) ||
        !Require(HasKernel(kernels, p.ops[i].kind),
                 {"op", i, "this build has no kernel of the kind", p.ops[i].kind}, error) ||
        !CheckWindow(p, i, error) || !CheckWeightBits(p.ops[i], i, error) ||
        !CheckShapes(p, i, error) || !CheckFilter(p, i, num_filter_bytes, error)) {
      return false;
    }
  }
  return true;
}

}  // namespace quantmcu
