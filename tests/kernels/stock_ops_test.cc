// Kernels of stock ops: the worked examples of docs/arithmetic.md A10 to A17, and extremes, which the
// sanitizers watch. That they equal TFLM is tests/parity/test_stock_op_parity.py's to show.
#include <gtest/gtest.h>
#include <stdint.h>
#include <string.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tflm_kernels/portable/law/exponential.h"
#include "tflm_kernels/portable/ops/broadcast_add.h"
#include "tflm_kernels/portable/ops/float_reductions.h"
#include "tflm_kernels/portable/ops/float_values.h"
#include "tflm_kernels/portable/ops/grouped_conv2d.h"
#include "tflm_kernels/portable/ops/hard_swish.h"
#include "tflm_kernels/portable/ops/l2_normalization.h"
#include "tflm_kernels/portable/ops/log_softmax.h"
#include "tflm_kernels/portable/ops/logistic.h"
#include "tflm_kernels/portable/ops/matmul.h"
#include "tflm_kernels/portable/ops/mean.h"
#include "tflm_kernels/portable/ops/mul.h"
#include "tflm_kernels/portable/ops/quantize.h"
#include "tflm_kernels/portable/ops/relations.h"
#include "tflm_kernels/portable/ops/softmax.h"
#include "tflm_kernels/portable/ops/squared_difference.h"
#include "tflm_kernels/portable/ops/strided_copy.h"
#include "tflm_kernels/portable/ops/transpose_conv2d.h"

namespace quantmcu {
namespace {

using Values = std::vector<int8_t>;

constexpr FixedPoint kScaleInQ5 = {1717986944, 23};  // 0.1
constexpr FixedPoint kScaleInQ4 = {1717986944, 23};  // 0.05

const uint8_t* In(const Values& values) { return reinterpret_cast<const uint8_t*>(values.data()); }
uint8_t* Out(Values* values) { return reinterpret_cast<uint8_t*>(values->data()); }

Values AllValues() {
  Values values;
  for (int q = -128; q < 128; ++q) values.push_back(static_cast<int8_t>(q));
  return values;
}

TEST(Exponential, WorkedExamples) {
  EXPECT_EQ(ExpOfNegative(0, 5), 2147483647);
  EXPECT_EQ(ExpOfNegative(-1, 5), 2147483124);
  EXPECT_EQ(ExpOfNegative(-67108864, 5), 790015308);
  EXPECT_EQ(ExpOfNegative(-1073741824, 5), 242);
  EXPECT_EQ(ExpOfNegative(-134217728, 4), 790015308);
  EXPECT_EQ(ReciprocalOfOnePlus(0), 2147483647);
  EXPECT_EQ(ReciprocalOfOnePlus(715827883), 1610612732);
  EXPECT_EQ(ReciprocalOfOnePlus(1073741824), 1431655762);
  EXPECT_EQ(ReciprocalOfOnePlus(2147483647), 1073741820);
}

TEST(Exponential, ExtremesStayInRange) {
  for (const int32_t bits : {4, 5}) {
    for (const int32_t a : {INT32_MIN, INT32_MIN + 1, -(1 << 30), -(1 << 29), -2}) {
      EXPECT_GE(ExpOfNegative(a, bits), 0) << a;
    }
  }
}

TEST(Softmax, WorkedExamples) {
  Values row = {10, 20, 30, -128};
  reference::Softmax({1, 4, -248, kScaleInQ5}, In(row), Out(&row));  // in place
  EXPECT_EQ(row, Values({-105, -65, 42, -128}));
  const Values equal = {7, 7, 7, 9, 9, 9};
  Values output(6);
  reference::Softmax({2, 3, -248, kScaleInQ5}, In(equal), Out(&output));
  EXPECT_EQ(output, Values({-43, -43, -43, -43, -43, -43}));
}

TEST(Softmax, LongestRow) {
  const Values input(4095, 127);
  Values output(4095, 1);
  reference::Softmax({1, 4095, -248, kScaleInQ5}, In(input), Out(&output));
  EXPECT_EQ(output, Values(4095, -128));
}

TEST(Logistic, WorkedExamples) {
  const Values input = {-128, -100, -3, 0, 3, 4, 40, 127};
  Values output(input.size());
  reference::Logistic({8, 3, 240, kScaleInQ4}, In(input), Out(&output));
  EXPECT_EQ(output, Values({-128, -127, -19, -10, 0, 3, 93, 127}));
}

TEST(HardSwish, WorkedExamples) {
  const Values input = {-128, -57, -30, 3, 4, 63, 127};
  Values output(input.size());
  reference::HardSwish({7, 3, -100, 17476, 3, 20480, -6}, In(input), Out(&output));
  EXPECT_EQ(output, Values({-100, -100, -109, -100, -99, -25, 55}));
}

TEST(HardSwish, ExtremeShiftsStayDefined) {
  const Values input = AllValues();
  Values output(input.size());
  for (const int32_t gate_shift : {-15, -1, 0, 1, 15, 31}) {
    for (const int32_t output_shift : {-15, 0}) {
      for (const int32_t zero_point : {-128, 127}) {
        reference::HardSwish({256, zero_point, zero_point, 32767, gate_shift, 32767, output_shift},
                             In(input), Out(&output));
        EXPECT_EQ(output[static_cast<size_t>(zero_point + 128)], zero_point);  // 0 stays 0
      }
    }
  }
}

TEST(Mean, WorkedExample) {
  const Values input = {1, 2, 4, 9, -3, 7, 7};
  Values output(1);
  const MeanParams params = {{{1, 1, 1, 1}}, {}, {{1, 1, 1, 7}}, {{0, 0, 0, 1}}, 2, -5,
                             {613566756, 0}};
  reference::Mean(params, In(input), Out(&output));
  EXPECT_EQ(output, Values({-1}));
}

TEST(Mul, WorkedExamples) {
  const Values input = {-128, -5, 0, 17, 127};
  Values output(input.size());
  const Dims extents = {{1, 1, 1, 5}};
  const Dims steps = {{0, 0, 0, 1}};
  reference::Mul({extents, steps, steps, -2, -2, 4, {-128, 127}, {1145324601, -4}}, In(input),
                 In(input), Out(&output));
  EXPECT_EQ(output, Values({127, 4, 4, 16, 127}));
}

TEST(BroadcastAdd, RepeatsTheSmallerInput) {
  const Values rows = {1, 2, 3, 4, 5, 6};
  const Values row = {10, 20, 30};
  Values output(6);
  const FixedPoint half = {1 << 30, 0};
  const AddMultipliers multipliers = {half, half, {1 << 30, -18}};  // 2 / 2^20
  reference::BroadcastAdd(
      {{{1, 1, 2, 3}}, {{0, 0, 3, 1}}, {{0, 0, 0, 1}}, 0, 0, 0, {-128, 127}, multipliers}, In(rows),
      In(row), Out(&output));
  EXPECT_EQ(output, Values({11, 22, 33, 14, 25, 36}));
}

TEST(MatMul, WorkedExampleAndRowsOfExtremes) {
  const Values a = {10, -3, 7};
  const Values b = {4, 0, -5};
  const int32_t bias = 6;
  Values y(1);
  MatMulParams params = {{{1, 1, 1, 1}}, {}, {}, 3, 1, 1, 2, 1, 3, 1, {-128, 127}, {1 << 30, -1}};
  reference::MatMul(params, In(a), In(b), &bias, Out(&y));
  EXPECT_EQ(y, Values({5}));
  // [2,3] by the transpose of [2,3], a bias a column; 255 * 255 * 3 in each product's place.
  const Values rows = {127, 127, 127, -128, -128, -128};
  const int32_t biases[] = {0, -1};
  Values products(4);
  params = {{{1, 1, 2, 2}}, {{0, 0, 3, 0}}, {{0, 0, 0, 3}}, 3, 1,           1,
            -128,           -128,           -128,           2, {-128, 127}, {1 << 30, -9}};
  reference::MatMul(params, In(rows), In(rows), biases, Out(&products));
  EXPECT_EQ(products, Values({63, -128, -128, -128}));
}

// Multipliers of 1, no biases.
const int32_t kOnes[] = {0, 0, 1 << 30, 1 << 30, 1, 1};

TEST(GroupedConv2D, ReadsItsOwnChannels) {
  const Values x = {1, 2, 3, 4, 5, 6, 7, 8};
  const Values filter = {1, 10, 1, -1};
  Values y(4);
  const GroupedConv2DParams params = {
      {1, 2, 4, 8, 8, 0}, {1, 2, 2, 4, 8, 0}, {1, 1, 1, 1, 1, 1, 0, 0}, {-128, 127}, 8, 2};
  reference::GroupedConv2D(params, In(x), In(filter), ChannelTableOf(kOnes, 2), Out(&y));
  EXPECT_EQ(y, Values({21, -1, 65, -1}));
}

TEST(TransposeConv2D, SpreadsAPixelOverItsTaps) {
  const Values x = {1, 2, 3, 4};
  const Values filter = {1, 10, 100};
  Values y(5);
  const Conv2DParams params = {
      {1, 4, 1, 4, 8, 0}, {1, 5, 1, 5, 8, 0}, {1, 3, 1, 2, 1, 1, 0, 1}, {-128, 127}, 8};
  const int32_t table[] = {-100, 1 << 30, 1};
  reference::TransposeConv2D(params, In(x), In(filter), ChannelTableOf(table, 1), Out(&y));
  // 10 * 1, 100 * 1 + 1 * 2, 10 * 2, 100 * 2 + 1 * 3, 10 * 3, each less 100.
  EXPECT_EQ(y, Values({-90, 2, -80, 103, -70}));
}

TEST(FloatSqrt, IsThatOfTheStandardLibrary) {
  for (uint64_t bits = 0; bits <= 0x7F800000; bits += bits < 0x10000 ? 1 : 9973) {
    const uint32_t word = static_cast<uint32_t>(bits);
    float x, y;
    memcpy(&x, &word, sizeof x);
    reference::FloatSqrt({1}, &x, &y);
    const float wanted = std::sqrt(x);
    ASSERT_EQ(memcmp(&y, &wanted, sizeof y), 0) << x;
  }
  float y = -2;
  reference::FloatSqrt({1}, &y, &y);
  EXPECT_TRUE(std::isnan(y));
}

TEST(Relations, WorkedExamples) {
  const Values x0 = {3, 3, 3, 4, 4};
  const Values x1 = {-5, -4, -3, 11, 50};
  const Dims dense = {{0, 0, 0, 1}};
  // 0.05 and 0.001.
  const ScaledComparisonParams params = {{{1, 1, 1, 5}},   dense,           dense, 3, -5,
                                         {1717986918, -4}, {1099511628, -9}};
  Values y(5);
  reference::ScaledLess(params, In(x0), In(x1), Out(&y));
  EXPECT_EQ(y, Values({0, 0, 1, 0, 1}));
  reference::ScaledEqual(params, In(x0), In(x1), Out(&y));
  EXPECT_EQ(y, Values({1, 1, 0, 0, 0}));
}

TEST(Relations, NothingIsRelatedToNan) {
  const std::vector<float> x0 = {NAN, 0.0f, 1.0f};
  const std::vector<float> x1 = {NAN, -0.0f, NAN};
  const ComparisonParams params = {{{1, 1, 1, 3}}, {{0, 0, 0, 1}}, {{0, 0, 0, 1}}};
  Values y(3);
  reference::FloatLessEqual(params, x0.data(), x1.data(), Out(&y));
  EXPECT_EQ(y, Values({0, 1, 0}));
  reference::FloatNotEqual(params, x0.data(), x1.data(), Out(&y));
  EXPECT_EQ(y, Values({1, 0, 1}));
}

TEST(Select, TwoCallsChooseFromTwoInputs) {
  const Values condition = {1, 0, 1, 0};
  const Values row = {1, 2};
  Values y(4);
  const Dims dense = {{0, 0, 2, 1}};
  reference::Select({{{1, 1, 2, 2}}, dense, {{0, 0, 0, 1}}, 1, 1}, In(condition), In(row), Out(&y));
  reference::Select({{{1, 1, 2, 2}}, dense, {{0, 0, 0, 0}}, 0, 1}, In(condition), In(row) + 1,
                    Out(&y));
  EXPECT_EQ(y, Values({1, 2, 1, 2}));
}

TEST(FloatPairs, AreClampedToFiniteNumbers) {
  const float largest = std::numeric_limits<float>::max();
  const std::vector<float> x = {2.0f, -2.0f, 0.5f};
  std::vector<float> y(3);
  const FloatPairsParams params = {
      {{1, 1, 1, 3}}, {{0, 0, 0, 1}}, {{0, 0, 0, 0}}, -largest, largest};
  reference::FloatMul(params, x.data(), &largest, y.data());
  EXPECT_EQ(y, (std::vector<float>{largest, -largest, largest / 2}));
}

TEST(FloatMean, AddsInOrder) {
  const std::vector<float> x = {1e8f, 1.0f, -1e8f, 3.0f};
  std::vector<float> y(2);
  const Dims pairs = {{1, 1, 1, 2}}, dense = {{0, 0, 0, 1}};
  reference::FloatMean({pairs, {{0, 0, 0, 2}}, pairs, dense, 2.0f}, x.data(), y.data());
  EXPECT_EQ(y, (std::vector<float>{5e7f, -5e7f}));
}

TEST(FloatL2Normalization, DividesByTheLengthAndNotByZero) {
  std::vector<float> x = {3.0f, -4.0f, 0.0f, 1e-7f};
  reference::FloatL2Normalization({2, 2}, x.data(), x.data());
  EXPECT_EQ(x, (std::vector<float>{3.0f / 5.0f, -4.0f / 5.0f, 0.0f, 1e-7f / 1e-6f}));
}

TEST(L2Normalization, WorkedExamplesAndARowOfZeros) {
  Values values = {-128, -60, 3, 4, 40, 127};
  reference::L2Normalization({1, 6, 3}, In(values), Out(&values));
  EXPECT_EQ(values, Values({-86, -41, 0, 1, 24, 82}));
  Values zeros = {3, 3, 4, 3};
  reference::L2Normalization({2, 2, 3}, In(zeros), Out(&zeros));
  EXPECT_EQ(zeros, Values({0, 0, 127, 0}));
}

TEST(LogSoftmax, WorkedExamples) {
  Values values = {-128, -60, 0, 10, 20, 127};
  // 0.05 * 2^26 in Q5 and back.
  reference::LogSoftmax({1, 6, -496, {1717986944, 22}, {1342177260, -21}}, In(values),
                        Out(&values));
  EXPECT_EQ(values, Values({-77, -23, 25, 33, 41, 127}));
}

TEST(SquaredDifference, WorkedExamples) {
  const Values x0 = {-128, -5, 0, -2, -3};
  const Values x1 = {-128, 4, 3, 0, 55};
  Values y(x0.size());
  const Dims steps = {{0, 0, 0, 1}};
  const AddMultipliers multipliers = {{1 << 30, 0}, {1 << 30, -1}, {1 << 30, -12}};
  reference::SquaredDifference(
      {{{1, 1, 1, 5}}, steps, steps, -2, 3, -100, {-128, 127}, multipliers}, In(x0), In(x1),
      Out(&y));
  EXPECT_EQ(y, Values({127, -94, -98, -99, 127}));
}

TEST(StridedCopy, TransposesAndPlacesRuns) {
  const Values input = {1, 2, 3, 4, 5, 6};
  Values transposed(6);
  reference::StridedCopy({{{1, 1, 3, 2}}, {{0, 0, 1, 3}}, {{0, 0, 2, 1}}}, In(input),
                         Out(&transposed));
  EXPECT_EQ(transposed, Values({1, 4, 2, 5, 3, 6}));
  Values padded(10);
  reference::Fill({10, -7}, Out(&padded));
  reference::StridedCopy({{{1, 1, 2, 3}}, {{0, 0, 3, 1}}, {{0, 0, 5, 1}}}, In(input),
                         Out(&padded) + 1);
  EXPECT_EQ(padded, Values({-7, 1, 2, 3, -7, -7, 4, 5, 6, -7}));
}

TEST(Quantize, WorkedExamplesAndWhatIsNoNumberOfSteps) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> reals = {0.25f, -0.25f,    0.15f,      100.0f, -100.0f,
                                    NAN,   kInfinity, -kInfinity, 1e30f,  -1e30f};
  Values output(reals.size());
  reference::Quantize({10, 0.1f, -2}, reals.data(), Out(&output));
  EXPECT_EQ(output, Values({1, -5, 0, 127, -128, -128, 127, -128, 127, -128}));
}

TEST(Dequantize, IsExactInFloat) {
  const Values input = {-128, 0, 127};
  std::vector<float> output(3);
  reference::Dequantize({3, 0.1f, -2}, In(input), output.data());
  EXPECT_EQ(output, (std::vector<float>{-126 * 0.1f, 2 * 0.1f, 129 * 0.1f}));
}

TEST(RequantizeBytes, MovesBetweenSignedAndUnsigned) {
  const std::vector<uint8_t> input = {0, 1, 128, 255};
  std::vector<uint8_t> output(4);
  const FixedPoint one = {1 << 30, 1};
  reference::RequantizeBytes({4, 1, 128, 0, {-128, 127}, one}, input.data(), output.data());
  EXPECT_EQ(output, (std::vector<uint8_t>{0x80, 0x81, 0, 0x7F}));
  reference::RequantizeBytes({4, 0, 0, 128, {0, 255}, one}, output.data(), output.data());
  EXPECT_EQ(output, input);
}

}  // namespace
}  // namespace quantmcu
