#include "tflm_kernels/aot/self_test.h"

#include <string.h>

#include "tflm_kernels/aot/arena.h"
#include "tflm_kernels/aot/stack_usage.h"
#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/measure.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/portable/law/crc32.h"
#include "tflm_kernels/portable/stage/stored_map.h"

namespace quantmcu {
namespace aot {
namespace {

constexpr uint8_t kFence = 0xA5;
constexpr uint32_t kStatedWordBytes =
    4;  // stack is stated for 32 bits; words of a larger host take more

uint32_t tapped_crc32;  // of what was tapped since an op began

constexpr uintptr_t AlignUp(uintptr_t value, uintptr_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// One inference, of which a hook compares every map.
struct Inspection {
  const Recording& recording;
  const uint8_t* arena;
  int32_t sample;
  int32_t num_begun;      // ops
  int32_t num_different;  // maps
};

void EndOp(Inspection* inspection) {
  const Recording& recording = inspection->recording;
  const int32_t op = inspection->num_begun - 1;
  if (op < 0) return;
  const Place& map = recording.maps[op];
  const uint32_t found = Crc32(inspection->arena + map.offset, map.num_bytes, tapped_crc32);
  if (found != recording.map_crc32s[inspection->sample * recording.num_ops + op]) {
    ReportCount("DIFFERENT_SAMPLE", static_cast<uint64_t>(inspection->sample));
    ReportCount("DIFFERENT_OP", static_cast<uint64_t>(op));
    ++inspection->num_different;
  }
}

// Ops must come in order, and tiles as their own.
bool Inspect(void* context, const Progress& next) {
  auto* inspection = static_cast<Inspection*>(context);
  if (next.tile >= 0) return next.op == inspection->num_begun - 1;
  EndOp(inspection);
  tapped_crc32 = 0;
  return next.op == inspection->num_begun++;
}

class Test {
 public:
  Test(const Model& model, const Recording& recording, uint8_t* memory)
      : model_(model), recording_(recording) {
    // Guards stand on multiples of their size. What is between them and the arena is looked at: the fence.
    const uintptr_t after_guard = reinterpret_cast<uintptr_t>(memory) + kGuardBytes;
    begin_ = memory + (AlignUp(after_guard, kGuardBytes) - after_guard) + kGuardBytes;
    end_ = begin_ + AlignUp(model.arena_bytes, kGuardBytes);
  }

  int Run() {
    is_guarded_ = BoardGuard(0, begin_ - kGuardBytes) && BoardGuard(1, end_);
    ReportCount("GUARDED", is_guarded_);
    PlaceArena(end_ - AlignUp(model_.arena_bytes, kArenaAlignment));
    MeasureFirstSample();
    Require(IsFenceWhole(), "arena: written outside of it");
    Require(model_.invoke_straight(arena_ + 1, straight_options_) == Status::kArenaMisaligned,
            "arena: taken at an odd address");
    PlaceArena(begin_);
    uint32_t output_crc32 = 0;
    for (int32_t sample = 0; sample < recording_.num_samples; ++sample) {
      InspectSample(sample);
      output_crc32 = OutputCrc32(output_crc32);
      if (sample == 0) Require(output_crc32 == straight_crc32_, "outputs: other without a hook");
    }
    StepThroughSample(0);
    ReportHex("OUTPUT_CRC32", output_crc32);
    Require(output_crc32 == recording_.output_crc32, "outputs: not those recorded");
    Require(model_.constants_crc32() == recording_.constants_crc32, "constants: not those emitted");
    Require(model_.is_plan_right(), "scratch: not what the kernels take");
    Require(stack_bytes_ <= model_.stack_bytes * (sizeof(void*) / kStatedWordBytes),
            "stack: deeper than stated");
    Require(IsFenceWhole(), "arena: written outside of it");
    if (!has_failed_) BoardWrite("~~~ALL TESTS PASSED~~~\n");
    return has_failed_ ? 1 : 0;
  }

 private:
  void Require(bool holds, const char* sentence) {
    if (holds) return;
    BoardWrite("FAILED: ");
    BoardWrite(sentence);
    BoardWrite("\n");
    has_failed_ = true;
  }

  // Gives the model a sample; `source` is the image of a streamed input.
  InvokeOptions Prepare(int32_t sample, StoredMap* source) {
    if (sample == 0 && model_.reset != nullptr) model_.reset(arena_);
    for (int32_t i = 0; i < recording_.num_inputs; ++i) {
      const Samples& input = recording_.inputs[i];
      const uint8_t* values = input.values + static_cast<uint32_t>(sample) * input.place.num_bytes;
      if (recording_.streamed_width != 0) {
        *source = {values, recording_.streamed_width, recording_.streamed_channels};
        return {ReaderOf(*source)};
      }
      memcpy(arena_ + input.place.offset, values, input.place.num_bytes);
    }
    return {};
  }

  // Straight through, as an application runs it.
  void MeasureFirstSample() {
    StoredMap source = {};
    straight_options_ = Prepare(0, &source);
    stack_bytes_ = MeasureStackBytes(InvokeStraight, this);
    Prepare(0, &source);
    num_instructions_ = MeasureInstructions(InvokeStraight, this);
    straight_crc32_ = OutputCrc32(0);
    ReportCount("ARENA_BYTES", model_.arena_bytes);
    ReportCount("STACK_BYTES", stack_bytes_);
    ReportCount("CONSTANT_BYTES", model_.constant_bytes);
    ReportCount("INSTRUCTIONS", num_instructions_);
    Require(straight_status_ == Status::kOk, "status: the inference did not come to its end");
  }

  static void InvokeStraight(const void* test) {
    auto* self = const_cast<Test*>(static_cast<const Test*>(test));
    self->straight_status_ = self->model_.invoke_straight(self->arena_, self->straight_options_);
  }

  void InspectSample(int32_t sample) {
    StoredMap source = {};
    InvokeOptions options = Prepare(sample, &source);
    Inspection inspection = {recording_, arena_, sample, 0, 0};
    options.hook = Inspect;
    options.context = &inspection;
    const Status status = model_.invoke_with_hook(arena_, options);
    EndOp(&inspection);
    Require(status == Status::kOk && inspection.num_begun == recording_.num_ops,
            "status: an inference did not come to its end");
    Require(inspection.num_different == 0, "maps: not those recorded");
  }

  // Step by step, which are other calls of the same kernels.
  void StepThroughSample(int32_t sample) {
    StoredMap source = {};
    const InvokeOptions options = Prepare(sample, &source);
    Inspection inspection = {recording_, arena_, sample, 0, 0};
    Status status = Status::kMore;
    for (int32_t op = 0; status == Status::kMore;) {
      const bool is_begun = op == inspection.num_begun - 1;
      if (!is_begun && !Inspect(&inspection, {op, -1})) break;
      status = model_.step(arena_, options, &op);
    }
    EndOp(&inspection);
    Require(status == Status::kOk && inspection.num_begun == recording_.num_ops,
            "status: an inference in steps did not come to its end");
    Require(inspection.num_different == 0, "maps: not those recorded, in steps");
  }

  uint32_t OutputCrc32(uint32_t crc32) const {
    for (int32_t i = 0; i < recording_.num_outputs; ++i) {
      const Place& output = recording_.outputs[i];
      crc32 = Crc32(arena_ + output.offset, output.num_bytes, crc32);
    }
    return crc32;
  }

  void PlaceArena(uint8_t* arena) {
    arena_ = arena;
    memset(FenceBegin(), kFence, static_cast<size_t>(FenceEnd() - FenceBegin()));
  }

  // Where nothing guards, the guards' bytes are looked at too.
  uint8_t* FenceBegin() const { return is_guarded_ ? begin_ : begin_ - kGuardBytes; }
  uint8_t* FenceEnd() const { return is_guarded_ ? end_ : end_ + kGuardBytes; }

  bool IsFenceWhole() const {
    return IsFence(FenceBegin(), arena_) && IsFence(arena_ + model_.arena_bytes, FenceEnd());
  }

  static bool IsFence(const uint8_t* begin, const uint8_t* end) {
    while (begin < end) {
      if (*begin++ != kFence) return false;
    }
    return true;
  }

  const Model& model_;
  const Recording& recording_;
  uint8_t* begin_;  // of what lies between the guards
  uint8_t* end_;
  uint8_t* arena_ = nullptr;
  bool is_guarded_ = false;
  InvokeOptions straight_options_;
  Status straight_status_ = Status::kOk;
  uint64_t num_instructions_ = 0;
  uint32_t stack_bytes_ = 0;
  uint32_t straight_crc32_ = 0;
  bool has_failed_ = false;
};

}  // namespace

uint32_t Crc32OfBlocks(const Block* blocks, uint32_t num_blocks) {
  uint32_t crc32 = 0;
  for (uint32_t i = 0; i < num_blocks; ++i) {
    crc32 = Crc32(blocks[i].bytes, blocks[i].num_bytes, crc32);
  }
  return crc32;
}

void Tap(const FeatureMap& map, const uint8_t* pixels) {
  for (int32_t y = 0; y < map.height; ++y) {
    tapped_crc32 = Crc32(pixels + y * map.row_bytes,
                         static_cast<uint32_t>(map.width * PixelBytes(map)), tapped_crc32);
  }
}

int RunSelfTest(const Model& model, const Recording& recording, uint8_t* memory) {
  return Test(model, recording, memory).Run();
}

}  // namespace aot
}  // namespace quantmcu
