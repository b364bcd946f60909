// Instructions of the kernels that stock ops run on: copies, means, softmax, changes of type.
//
// Runs the calls of stock_calls.txt on seeded values and prints a line a call, which tflm_quantmcu/cost/bench.py reads:
//   STOCK=instructions
#include <stdint.h>

#include "tests/cortex_m/random_values.h"
#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/measure.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/portable/ops/broadcast_add.h"
#include "tflm_kernels/portable/ops/hard_swish.h"
#include "tflm_kernels/portable/ops/logistic.h"
#include "tflm_kernels/portable/ops/mean.h"
#include "tflm_kernels/portable/ops/mul.h"
#include "tflm_kernels/portable/ops/quantize.h"
#include "tflm_kernels/portable/ops/softmax.h"
#include "tflm_kernels/portable/ops/strided_copy.h"

namespace quantmcu {
namespace {

enum Kernel {
  kStridedCopy,
  kFill,
  kMean,
  kMul,
  kBroadcastAdd,
  kSoftmax,
  kLogistic,
  kHardSwish,
  kQuantize,
  kDequantize,
  kRequantizeBytes,
};

// Of each call the kernel, the number of its params' words, and these.
constexpr int32_t kCalls[] = {
#include "tflm_kernels/benchmarks/stock_calls.inc"
};
constexpr int32_t kNumWords = sizeof(kCalls) / sizeof(kCalls[0]);

constexpr int32_t kMapBytes = 1 << 17;
BOARD_ARENA uint8_t g_input0[kMapBytes];
BOARD_ARENA uint8_t g_input1[kMapBytes];
BOARD_ARENA uint8_t g_output[kMapBytes];
BOARD_ARENA float g_reals[kMapBytes / 4];

template <typename Params>
const Params& ParamsOf(const int32_t* call) {
  static_assert(sizeof(Params) % 4 == 0, "params are words");
  return *reinterpret_cast<const Params*>(call + 2);
}

void Run(const void* argument) {
  using namespace reference;
  const auto* call = static_cast<const int32_t*>(argument);
  switch (call[0]) {
    case kStridedCopy:
      return StridedCopy(ParamsOf<StridedCopyParams>(call), g_input0, g_output);
    case kFill:
      return Fill(ParamsOf<FillParams>(call), g_output);
    case kMean:
      return Mean(ParamsOf<MeanParams>(call), g_input0, g_output);
    case kMul:
      return Mul(ParamsOf<MulParams>(call), g_input0, g_input1, g_output);
    case kBroadcastAdd:
      return BroadcastAdd(ParamsOf<BroadcastAddParams>(call), g_input0, g_input1, g_output);
    case kSoftmax:
      return Softmax(ParamsOf<SoftmaxParams>(call), g_input0, g_output);
    case kLogistic:
      return Logistic(ParamsOf<LogisticParams>(call), g_input0, g_output);
    case kHardSwish:
      return HardSwish(ParamsOf<HardSwishParams>(call), g_input0, g_output);
    case kQuantize:
      return Quantize(ParamsOf<QuantizeParams>(call), g_reals, g_output);
    case kDequantize:
      return Dequantize(ParamsOf<QuantizeParams>(call), g_input0, g_reals);
    case kRequantizeBytes:
      return RequantizeBytes(ParamsOf<RequantizeBytesParams>(call), g_input0, g_output);
  }
  BoardExit(1);
}

void Fill(RandomValues* random) {
  random->FillRuns(1, kMapBytes, 8, g_input0);
  random->FillRuns(1, kMapBytes, 8, g_input1);
  for (int32_t i = 0; i < kMapBytes / 4; ++i) {
    g_reals[i] = static_cast<float>(random->Uniform(-4000, 4000)) / 1000.0f;
  }
}

}  // namespace
}  // namespace quantmcu

int main() {
  using namespace quantmcu;
  RandomValues random(1);
  Fill(&random);
  for (int32_t at = 0; at < kNumWords; at += 2 + kCalls[at + 1]) {
    ReportCount("STOCK", MeasureInstructions(Run, kCalls + at));
  }
  return 0;
}
