// One inference of an emitted model on a board, straight through, with a hook and piece by piece: experiments/device_time.py builds
// it beside each model.
//
//   INSTRUCTIONS  straight through
//   HOOKED        with a hook that does nothing
//   NUM_CALLS     of the hook
//   STEPPED       piece by piece, all steps together
//   LONGEST       instructions between two calls of it, or between one and the begin or end of the inference
//
// Every byte of the input is kInput: floats of 0.747, for what arithmetic on zeros takes without a floating-point unit
// is not what it takes on others.
#include <stdint.h>
#include <string.h>

#include "model.h"
#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/measure.h"
#include "tflm_kernels/boards/report.h"

namespace {

constexpr int kInput = 0x3F;

BOARD_ARENA uint8_t arena[MODEL_ARENA_BYTES];

struct Spans {
  uint64_t begin;
  uint64_t longest;
  uint64_t num_calls;
};

void EndSpan(Spans* spans) {
  const uint64_t now = quantmcu::BoardInstructionCount();
  if (now - spans->begin > spans->longest) spans->longest = now - spans->begin;
  spans->begin = quantmcu::BoardInstructionCount();
}

bool Watch(void* context, const quantmcu::Progress&) {
  auto* spans = static_cast<Spans*>(context);
  ++spans->num_calls;
  EndSpan(spans);
  return true;
}

bool Nothing(void*, const quantmcu::Progress&) { return true; }

void Straight(const void*) { model::Invoke(arena); }

void Hooked(const void*) {
  quantmcu::InvokeOptions options;
  options.hook = Nothing;
  model::Invoke(arena, options);
}

void Stepped(const void*) {
  model::StepState state;
  while (model::Step(arena, &state) == quantmcu::Status::kMore) {
  }
}

}  // namespace

int main() {
  memset(arena, kInput, sizeof(arena));
  quantmcu::ReportCount("INSTRUCTIONS", quantmcu::MeasureInstructions(Straight, nullptr));
  quantmcu::ReportCount("HOOKED", quantmcu::MeasureInstructions(Hooked, nullptr));
  quantmcu::ReportCount("STEPPED", quantmcu::MeasureInstructions(Stepped, nullptr));
  Spans spans = {quantmcu::BoardInstructionCount(), 0, 0};
  quantmcu::InvokeOptions options;
  options.hook = Watch;
  options.context = &spans;
  if (model::Invoke(arena, options) != quantmcu::Status::kOk) return 1;
  EndSpan(&spans);
  quantmcu::ReportCount("NUM_CALLS", spans.num_calls);
  quantmcu::ReportCount("LONGEST", spans.longest);
  return 0;
}
