// aot/self_test.h - the test of an emitted model: on recorded samples every map, those inside patch stages
// too, and all constants against what they were when the project was emitted.
//
// A model that is compiled with QUANTMCU_SELF_TEST has what this looks at; without it, it has none of it.
#ifndef TFLM_KERNELS_AOT_SELF_TEST_H_
#define TFLM_KERNELS_AOT_SELF_TEST_H_

#include <stdint.h>

#include "tflm_kernels/aot/invoke.h"
#include "tflm_kernels/boards/guard.h"
#include "tflm_kernels/portable/ops/kernels.h"

namespace quantmcu {
namespace aot {

// Constants in flash.
struct Block {
  const void* bytes;
  uint32_t num_bytes;
};

uint32_t Crc32OfBlocks(const Block* blocks, uint32_t num_blocks);

// Bytes of the arena.
struct Place {
  uint32_t offset;
  uint32_t num_bytes;
};

// Values of an input, one sample behind the other.
struct Samples {
  Place place;  // of a streamed input only its bytes
  const uint8_t* values;
};

struct Model {
  Status (*invoke_straight)(uint8_t* arena, const InvokeOptions& options);
  Status (*invoke_with_hook)(uint8_t* arena, const InvokeOptions& options);
  Status (*step)(uint8_t* arena, const InvokeOptions& options, int32_t* op);  // which comes next
  bool (*is_plan_right)();
  uint32_t (*constants_crc32)();
  uint32_t arena_bytes;
  uint32_t stack_bytes;
  uint32_t constant_bytes;
  void (*reset)(uint8_t* arena) = nullptr;  // of a model that keeps a state
};

// What the model takes and must compute, one sample behind the other: what has a state begins anew before the first.
// CRC32s of an op are of what the kernels of a patch stage wrote, in order,
// and of the op's output behind it.
struct Recording {
  int32_t num_samples;
  int32_t num_inputs;
  const Samples* inputs;
  int32_t streamed_width;  // of the first input; 0 where none is streamed
  int32_t streamed_channels;
  int32_t num_ops;
  const Place* maps;           // [num_ops] outputs
  const uint32_t* map_crc32s;  // [num_samples, num_ops]
  int32_t num_outputs;
  const Place* outputs;
  uint32_t output_crc32;  // of all outputs of all samples
  uint32_t constants_crc32;
};

// Of the memory that RunSelfTest takes for an arena. A guard stands on each side of it; the arena lies against the
// upper one while the first sample is measured, then against the lower one.
constexpr uint32_t MemoryBytes(uint32_t arena_bytes) { return arena_bytes + 4 * kGuardBytes; }

// Runs everything and says what differs. `memory` has MemoryBytes. Returns what main should.
int RunSelfTest(const Model& model, const Recording& recording, uint8_t* memory);

// A model's Step, whose state the test has.
template <typename State, Status (*kStep)(uint8_t*, State*, const InvokeOptions&)>
Status StepOf(uint8_t* arena, const InvokeOptions& options, int32_t* op) {
  static State state = {};
  const Status status = kStep(arena, &state, options);
  *op = state.op;
  return status;
}

// Takes what a kernel of a patch stage has written.
void Tap(const FeatureMap& map, const uint8_t* pixels);

// The kernels of a table, each of which hands what it wrote to Tap.
template <const Kernels& kKernels>
struct Tapped {
  static void Conv2D(const Conv2DParams& params, const uint8_t* x, const uint8_t* filter,
                     const ChannelTable& table, uint8_t* y, uint8_t* scratch) {
    kKernels.conv2d(params, x, filter, table, y, scratch);
    Tap(params.output, y);
  }
  static void DepthwiseConv2D(const DepthwiseConv2DParams& params, const uint8_t* x,
                              const uint8_t* filter, const ChannelTable& table, uint8_t* y,
                              uint8_t* scratch) {
    kKernels.depthwise_conv2d(params, x, filter, table, y, scratch);
    Tap(params.output, y);
  }
  static void Add(const AddParams& params, const uint8_t* x0, const uint8_t* x1, uint8_t* y) {
    kKernels.add(params, x0, x1, y);
    Tap(params.output, y);
  }
  static void AveragePool2D(const Pool2DParams& params, const uint8_t* x, uint8_t* y) {
    kKernels.average_pool2d(params, x, y);
    Tap(params.output, y);
  }
  static void MaxPool2D(const Pool2DParams& params, const uint8_t* x, uint8_t* y) {
    kKernels.max_pool2d(params, x, y);
    Tap(params.output, y);
  }
  static void Requantize(const RequantizeParams& params, const uint8_t* x, uint8_t* y) {
    kKernels.requantize(params, x, y);
    Tap(params.output, y);
  }
  static void Lut(const LutParams& params, const uint8_t* x, const uint8_t* table, uint8_t* y) {
    kKernels.lut(params, x, table, y);
    Tap(params.output, y);
  }

  static void GatherChannels(const GatherChannelsParams& params, const uint8_t* const* xs,
                             const ChannelRun* runs, uint8_t* y) {
    kKernels.gather_channels(params, xs, runs, y);
    Tap(params.output, y);
  }

  static void ResizeNearest(const ResizeNearestParams& params, const uint8_t* x, uint8_t* y) {
    kKernels.resize_nearest(params, x, y);
    Tap(params.output, y);
  }

  static void DepthToSpace(const DepthToSpaceParams& params, const uint8_t* x, uint8_t* y) {
    kKernels.depth_to_space(params, x, y);
    Tap(params.output, y);
  }

  static void ResizeBilinear(const ResizeBilinearParams& params, const uint8_t* x, uint8_t* y) {
    kKernels.resize_bilinear(params, x, y);
    Tap(params.output, y);
  }

  static void Product(const ProductParams& params, const uint8_t* x0, const uint8_t* x1,
                      uint8_t* y) {
    kKernels.product(params, x0, x1, y);
    Tap(params.output, y);
  }

  static void Difference(const AddParams& params, const uint8_t* x0, const uint8_t* x1,
                         uint8_t* y) {
    kKernels.difference(params, x0, x1, y);
    Tap(params.output, y);
  }

  // A kernel that the table lacks runs nowhere, so it may have a tap.
  static constexpr Kernels kTable = {Conv2D,
                                     kKernels.conv2d_scratch_bytes,
                                     DepthwiseConv2D,
                                     kKernels.depthwise_conv2d_scratch_bytes,
                                     Add,
                                     AveragePool2D,
                                     MaxPool2D,
                                     Requantize,
                                     Lut,
                                     kKernels.sum_pixels,
                                     kKernels.dot_pixels,
                                     GatherChannels,
                                     ResizeNearest,
                                     DepthToSpace,
                                     ResizeBilinear,
                                     Product,
                                     Difference,
                                     kKernels.rare_op};
};

}  // namespace aot
}  // namespace quantmcu

#endif  // TFLM_KERNELS_AOT_SELF_TEST_H_
