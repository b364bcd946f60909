// The hello world of patch stages: one network as it is, split into patches, and split with 4-bit maps and weights. Each
// must say in which direction a line runs, and the split one must give the bytes of the first.
#include <string.h>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_log.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/system_setup.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_kernels/examples/hello_world/models/hello_world_int8_model_data.h"
#include "tflm_kernels/examples/hello_world/models/hello_world_narrow_model_data.h"
#include "tflm_kernels/examples/hello_world/models/hello_world_split_model_data.h"
#include "tflm_kernels/micro/register.h"

namespace {

using quantmcu::tflm::MicroInterpreter;

constexpr int kPixels = 32;
enum Direction { kAcross, kDown, kAslant, kNumDirections };

// Ours, and TFLM's own of the network as it is.
using HelloWorldOpResolver = quantmcu::tflm::MicroMutableOpResolver<quantmcu::kNumOps + 4>;

TfLiteStatus RegisterOps(HelloWorldOpResolver& resolver) {
  TF_LITE_ENSURE_STATUS(quantmcu::RegisterOps(resolver));
  TF_LITE_ENSURE_STATUS(resolver.AddConv2D());
  TF_LITE_ENSURE_STATUS(resolver.AddDepthwiseConv2D());
  TF_LITE_ENSURE_STATUS(resolver.AddFullyConnected());
  TF_LITE_ENSURE_STATUS(resolver.AddMean());
  return kTfLiteOk;
}

struct Scores {
  int8_t values[kNumDirections];
};

// A line of 20 pixels on white paper; at int8 white is -128 and black 127.
void Draw(Direction direction, int8_t* pixels) {
  memset(pixels, -128, kPixels * kPixels);
  for (int step = 6; step < 26; ++step) {
    const int row = direction == kAcross ? 9 : step;
    const int column = direction == kDown ? 20 : step;
    pixels[row * kPixels + column] = 127;
  }
}

// The scores of one drawing of each direction; `arena` is what the model may use.
TfLiteStatus Run(const char* name, const unsigned char* model_data, uint8_t* arena,
                 size_t arena_bytes, Scores (&scores)[kNumDirections]) {
  const quantmcu::tflm::Model* model = quantmcu::tflm::GetModel(model_data);
  TFLITE_CHECK_EQ(model->version(), TFLITE_SCHEMA_VERSION);
  HelloWorldOpResolver resolver;
  TF_LITE_ENSURE_STATUS(RegisterOps(resolver));
  MicroInterpreter interpreter(model, resolver, arena, arena_bytes);
  TF_LITE_ENSURE_STATUS(interpreter.AllocateTensors());
  TFLITE_CHECK_EQ(interpreter.input(0)->bytes, static_cast<size_t>(kPixels * kPixels));
  TFLITE_CHECK_EQ(interpreter.output(0)->bytes, sizeof(Scores));
  for (int direction = 0; direction < kNumDirections; ++direction) {
    Draw(static_cast<Direction>(direction), interpreter.input(0)->data.int8);
    TF_LITE_ENSURE_STATUS(interpreter.Invoke());
    Scores& found = scores[direction];
    memcpy(found.values, interpreter.output(0)->data.int8, sizeof(found.values));
    for (int other = 0; other < kNumDirections; ++other) {
      if (other != direction && found.values[other] >= found.values[direction]) {
        MicroPrintf("%s takes direction %d for %d", name, direction, other);
        return kTfLiteError;
      }
    }
  }
  MicroPrintf("%s: %d bytes of arena", name, static_cast<int>(interpreter.arena_used_bytes()));
  return kTfLiteOk;
}

alignas(16) uint8_t g_arena[16 * 1024];

TfLiteStatus RunAll() {
  Scores int8[kNumDirections];
  Scores split[kNumDirections];
  Scores narrow[kNumDirections];
  TF_LITE_ENSURE_STATUS(Run("int8", g_hello_world_int8_model_data, g_arena, sizeof(g_arena), int8));
  // Half of the arena is enough.
  TF_LITE_ENSURE_STATUS(
      Run("split", g_hello_world_split_model_data, g_arena, sizeof(g_arena) / 2, split));
  TF_LITE_ENSURE_STATUS(
      Run("narrow", g_hello_world_narrow_model_data, g_arena, sizeof(g_arena) / 2, narrow));
  if (memcmp(int8, split, sizeof(int8)) != 0) {
    MicroPrintf("the split network differs from the network as it is");
    return kTfLiteError;
  }
  return kTfLiteOk;
}

}  // namespace

int main() {
  quantmcu::tflm::InitializeTarget();
  if (RunAll() != kTfLiteOk) return 1;
  MicroPrintf("~~~ALL TESTS PASSED~~~");
  return 0;
}
