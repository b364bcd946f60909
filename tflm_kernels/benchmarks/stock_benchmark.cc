// Instructions of the kernels that stock ops run on: copies, means, rows, relations, products, float32 values.
//
// Runs the calls of stock_calls.txt on seeded values and prints a line a call, which tflm_quantmcu/cost/bench.py reads:
//   STOCK=instructions
#include <stdint.h>

#include "tests/cortex_m/random_values.h"
#include "tflm_kernels/benchmarks/stock_operands.h"
#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/measure.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/portable/ops/broadcast_add.h"
#include "tflm_kernels/portable/ops/broadcast_prelu.h"
#include "tflm_kernels/portable/ops/comparisons.h"
#include "tflm_kernels/portable/ops/float_reductions.h"
#include "tflm_kernels/portable/ops/float_values.h"
#include "tflm_kernels/portable/ops/grouped_conv2d.h"
#include "tflm_kernels/portable/ops/hard_swish.h"
#include "tflm_kernels/portable/ops/l2_normalization.h"
#include "tflm_kernels/portable/ops/log_softmax.h"
#include "tflm_kernels/portable/ops/logistic.h"
#include "tflm_kernels/portable/ops/lstm.h"
#include "tflm_kernels/portable/ops/matmul.h"
#include "tflm_kernels/portable/ops/mean.h"
#include "tflm_kernels/portable/ops/mul.h"
#include "tflm_kernels/portable/ops/quantize.h"
#include "tflm_kernels/portable/ops/relations.h"
#include "tflm_kernels/portable/ops/softmax.h"
#include "tflm_kernels/portable/ops/squared_difference.h"
#include "tflm_kernels/portable/ops/strided_copy.h"
#include "tflm_kernels/portable/ops/svdf.h"
#include "tflm_kernels/portable/ops/transpose_conv2d.h"

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
  kArgMax,
  kArgMin,
  kBroadcastPrelu,
  kBroadcastSub,
  kByteEqual,
  kByteNotEqual,
  kCast,
  kFloatAbs,
  kFloatAdd,
  kFloatCeil,
  kFloatDiv,
  kFloatEqual,
  kFloatFloor,
  kFloatHardSwish,
  kFloatL2Normalization,
  kFloatLeakyRelu,
  kFloatLess,
  kFloatLessEqual,
  kFloatMaximum,
  kFloatMean,
  kFloatMinimum,
  kFloatMul,
  kFloatNeg,
  kFloatNotEqual,
  kFloatPrelu,
  kFloatRelu,
  kFloatRelu6,
  kFloatRound,
  kFloatRsqrt,
  kFloatSqrt,
  kFloatSquare,
  kFloatSquaredDifference,
  kFloatSub,
  kGroupedConv2D,
  kInt32Equal,
  kInt32Less,
  kInt32LessEqual,
  kInt32NotEqual,
  kL2Normalization,
  kLogSoftmax,
  kLstm,
  kMatMul,
  kMaximum,
  kMinimum,
  kReduceMax,
  kReduceMin,
  kScaledEqual,
  kScaledLess,
  kScaledLessEqual,
  kScaledNotEqual,
  kSelect,
  kSquaredDifference,
  kSvdf,
  kTransposeConv2D,
};

// Of each call the kernel, the number of its params' words, and these.
constexpr int32_t kCalls[] = {
#include "tflm_kernels/benchmarks/stock_calls.inc"
};
constexpr int32_t kNumWords = sizeof(kCalls) / sizeof(kCalls[0]);

template <auto kKernel>
void CallOf(const int32_t* call) {
  Call(kKernel, call);
}

// In the order of Kernel.
constexpr void (*kKernels[])(const int32_t*) = {
    CallOf<reference::StridedCopy>,
    CallOf<reference::Fill>,
    CallOf<reference::Mean>,
    CallOf<reference::Mul>,
    CallOf<reference::BroadcastAdd>,
    CallOf<reference::Softmax>,
    CallOf<reference::Logistic>,
    CallOf<reference::HardSwish>,
    CallOf<reference::Quantize>,
    CallOf<reference::Dequantize>,
    CallOf<reference::RequantizeBytes>,
    CallOf<reference::ArgMax>,
    CallOf<reference::ArgMin>,
    CallOf<reference::BroadcastPrelu>,
    CallOf<reference::BroadcastSub>,
    CallOf<reference::ByteEqual>,
    CallOf<reference::ByteNotEqual>,
    CallOf<reference::Cast>,
    CallOf<reference::FloatAbs>,
    CallOf<reference::FloatAdd>,
    CallOf<reference::FloatCeil>,
    CallOf<reference::FloatDiv>,
    CallOf<reference::FloatEqual>,
    CallOf<reference::FloatFloor>,
    CallOf<reference::FloatHardSwish>,
    CallOf<reference::FloatL2Normalization>,
    CallOf<reference::FloatLeakyRelu>,
    CallOf<reference::FloatLess>,
    CallOf<reference::FloatLessEqual>,
    CallOf<reference::FloatMaximum>,
    CallOf<reference::FloatMean>,
    CallOf<reference::FloatMinimum>,
    CallOf<reference::FloatMul>,
    CallOf<reference::FloatNeg>,
    CallOf<reference::FloatNotEqual>,
    CallOf<reference::FloatPrelu>,
    CallOf<reference::FloatRelu>,
    CallOf<reference::FloatRelu6>,
    CallOf<reference::FloatRound>,
    CallOf<reference::FloatRsqrt>,
    CallOf<reference::FloatSqrt>,
    CallOf<reference::FloatSquare>,
    CallOf<reference::FloatSquaredDifference>,
    CallOf<reference::FloatSub>,
    CallOf<reference::GroupedConv2D>,
    CallOf<reference::Int32Equal>,
    CallOf<reference::Int32Less>,
    CallOf<reference::Int32LessEqual>,
    CallOf<reference::Int32NotEqual>,
    CallOf<reference::L2Normalization>,
    CallOf<reference::LogSoftmax>,
    CallOf<reference::Lstm>,
    CallOf<reference::MatMul>,
    CallOf<reference::Maximum>,
    CallOf<reference::Minimum>,
    CallOf<reference::ReduceMax>,
    CallOf<reference::ReduceMin>,
    CallOf<reference::ScaledEqual>,
    CallOf<reference::ScaledLess>,
    CallOf<reference::ScaledLessEqual>,
    CallOf<reference::ScaledNotEqual>,
    CallOf<reference::Select>,
    CallOf<reference::SquaredDifference>,
    CallOf<reference::Svdf>,
    CallOf<reference::TransposeConv2D>,
};
static_assert(sizeof(kKernels) / sizeof(kKernels[0]) == kTransposeConv2D + 1, "one a kernel");

void Run(const void* argument) {
  const auto* call = static_cast<const int32_t*>(argument);
  kKernels[call[0]](call);
}

void Fill(RandomValues* random) {
  random->FillRuns(1, kMapBytes, 8, g_input0);
  random->FillRuns(1, kMapBytes, 8, g_input1);
  for (int32_t i = 0; i < kNumReals; ++i) {
    const int32_t least = g_reals + i < g_positive ? -4000 : 1;
    g_reals[i] = static_cast<float>(random->Uniform(least, 4000)) / 1000.0f;
  }
  for (int32_t i = 0; i < 256; ++i) g_sigmoid[i] = static_cast<uint16_t>(32768 + 128 * i);
  for (int32_t i = 0; i < kMaxChannels; ++i) {
    g_table[i] = random->Uniform(-1000, 1000);
    g_table[kMaxChannels + i] = 1 << 30;
    g_table[2 * kMaxChannels + i] = -8;
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
