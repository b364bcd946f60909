// The C functions give what the laws give; words stand in the order that c_api.h documents.
#include "tflm_kernels/portable/c_api.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/kernels/naive.h"
#include "tests/kernels/stage_builder.h"

namespace quantmcu {
namespace {

using Words = std::vector<int32_t>;

Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Words MapWords(const naive::Map& map) {
  const FeatureMap view = map.View();
  return {view.height, view.width, view.channels, view.row_bytes, view.bits, view.zero_point};
}

class CApiTest : public testing::Test {
 protected:
  CApiTest()
      : random_(30),
        input_(naive::RandomMap(4, 5, 6, 4, &random_)),
        output_(naive::RandomMap(4, 5, 6, 8, &random_)),
        bytes_(output_.Packed().size(), 0xFF) {}

  // input MAP, output MAP
  Words Maps() const { return MapWords(input_) + MapWords(output_); }
  void ExpectOutput() { naive::ExpectSameBytes(output_.Packed(), bytes_); }

  naive::Random random_;
  const naive::Map input_;
  naive::Map output_;
  std::vector<uint8_t> bytes_;
  const Words window_words_ = {3, 2, 1, 1, 1, 2, 1, 0};
  const Window window_ = {3, 2, 1, 1, 1, 2, 1, 0};
  const Words clamp_words_ = {-100, 90};
  const Clamp clamp_ = {-100, 90};
  const Words factor_words_ = {1518500250, 4};
  const FixedPoint factor_ = {1518500250, 4};
};

TEST_F(CApiTest, Conv2D) {
  const naive::Filter filter = naive::RandomFilter(6 * 6, 6, 2, &random_);
  const Words table = naive::RandomTable(6, 36, 4, 2, 8, &random_);
  naive::Conv2D(input_, filter, table, window_, clamp_, &output_);
  const Words params = Maps() + window_words_ + clamp_words_ + Words{2};
  QuantMcuConv2D(params.data(), input_.Packed().data(), filter.Packed().data(), table.data(),
                 bytes_.data());
  ExpectOutput();
}

TEST_F(CApiTest, DepthwiseConv2D) {
  const naive::Filter filter = naive::RandomFilter(6, 6, 8, &random_);
  const Words table = naive::RandomTable(6, 6, 4, 8, 8, &random_);
  naive::DepthwiseConv2D(input_, filter, table, window_, clamp_, &output_);
  const Words params = Maps() + window_words_ + clamp_words_ + Words{8, 1};
  QuantMcuDepthwiseConv2D(params.data(), input_.Packed().data(), filter.Packed().data(),
                          table.data(), bytes_.data());
  ExpectOutput();
}

TEST_F(CApiTest, FullyConnected) {
  const naive::Map input = naive::RandomMap(1, 1, 7, 4, &random_);
  naive::Map output = naive::RandomMap(1, 1, 3, 8, &random_);
  const naive::Filter filter = naive::RandomFilter(3, 7, 4, &random_);
  const Words table = naive::RandomTable(3, 7, 4, 4, 8, &random_);
  naive::Conv2D(input, filter, table, {1, 1, 1, 1, 1, 1, 0, 0}, clamp_, &output);
  const Words params = MapWords(input) + MapWords(output) + clamp_words_ + Words{4};
  std::vector<uint8_t> bytes(3);
  QuantMcuFullyConnected(params.data(), input.Packed().data(), filter.Packed().data(), table.data(),
                         bytes.data());
  naive::ExpectSameBytes(output.Packed(), bytes);
}

TEST_F(CApiTest, Add) {
  const naive::Map other = naive::RandomMap(4, 5, 6, 2, &random_);
  naive::Add(input_, other, {{1 << 30, 0}, {1 << 30, 1}, {1 << 30, -19}}, clamp_, &output_);
  const Words params = MapWords(input_) + MapWords(other) + MapWords(output_) + clamp_words_ +
                       Words{1 << 30, 0, 1 << 30, 1, 1 << 30, -19};
  QuantMcuAdd(params.data(), input_.Packed().data(), other.Packed().data(), bytes_.data());
  ExpectOutput();
}

TEST_F(CApiTest, Pools) {
  const Words window_words = {3, 2, 1, 1, 1, 1, 1, 0};
  const Words params = Maps() + window_words + clamp_words_ + factor_words_;
  const Window window = {3, 2, 1, 1, 1, 1, 1, 0};
  naive::AveragePool2D(input_, window, factor_, clamp_, &output_);
  QuantMcuAveragePool2D(params.data(), input_.Packed().data(), bytes_.data());
  ExpectOutput();
  naive::MaxPool2D(input_, window, factor_, clamp_, &output_);
  QuantMcuMaxPool2D(params.data(), input_.Packed().data(), bytes_.data());
  ExpectOutput();
}

TEST_F(CApiTest, Requantize) {
  naive::Requantize(input_, 1, -1, factor_, clamp_, &output_);
  const Words params = Maps() + Words{1, -1} + clamp_words_ + factor_words_;
  QuantMcuRequantize(params.data(), input_.Packed().data(), bytes_.data());
  ExpectOutput();
}

TEST_F(CApiTest, Lut) {
  for (const int32_t num_tables : {1, input_.channels}) {
    const Words table = naive::RandomLut(4, clamp_, &random_, num_tables);
    naive::Lut(input_, 1, -1, table, &output_);
    const Words params = Maps() + Words{1, -1, num_tables == 1 ? 0 : 16};
    QuantMcuLut(params.data(), input_.Packed().data(), naive::LutBytes(table).data(),
                bytes_.data());
    ExpectOutput();
  }
}

TEST(CApiValuesTest, MultiplyLoadAndStore) {
  const Words x = {1000, 1001, -1001};
  Words y(3);
  QuantMcuMultiply(x.data(), 3, 1073741824, 0, y.data());
  EXPECT_EQ(y, (Words{500, 501, -500}));
  const Words values = {1, -2, -1, 0, 1};
  std::vector<uint8_t> run(2, 0xFF);
  QuantMcuStoreValues(values.data(), 5, 2, run.data());
  EXPECT_EQ(run, (std::vector<uint8_t>{0x39, 0x01}));
  Words loaded(5);
  QuantMcuLoadValues(run.data(), 5, 2, loaded.data());
  EXPECT_EQ(loaded, values);
}

class CApiPatchStageTest : public testing::Test {
 protected:
  CApiPatchStageTest() : random_(31), stage_(RandomStage(4, 2, 0, &random_)) {
    CutIntoTiles(2, 2, &stage_, &random_);
    program_ = Assemble(stage_);
    const PatchStageHeader& h = program_.header;
    header_ = {h.tile_height, h.tile_width, h.num_ops,     h.num_maps,     h.num_classes,
               h.cache_mode,  h.primed,     h.outlier_low, h.outlier_high, h.outlier_share};
  }

  int32_t NumWords() const { return static_cast<int32_t>(program_.words.size()); }
  int32_t NumFilterBytes() const { return static_cast<int32_t>(program_.filters.size()); }

  naive::Random random_;
  Stage stage_;
  StageProgram program_;
  Words header_;
  QuantMcuStageError error_ = {};
};

TEST_F(CApiPatchStageTest, ReadsAndRuns) {
  const naive::Map x = stage_.RandomX(&random_);
  const std::vector<uint8_t> expected = stage_.ExpectedY(x).Packed();
  int32_t scratch_bytes = -1;
  ASSERT_EQ(
      QuantMcuPatchStageRead(header_.data(), program_.words.data(), NumWords(),
                             program_.filters.data(), NumFilterBytes(), &scratch_bytes, &error_),
      1);
  std::vector<uint8_t> scratch(scratch_bytes);
  std::vector<uint8_t> y(expected.size());
  ASSERT_EQ(QuantMcuPatchStageRun(header_.data(), program_.words.data(), NumWords(),
                                  program_.filters.data(), NumFilterBytes(), x.Packed().data(),
                                  nullptr, scratch.data(), y.data(), &error_),
            1);
  naive::ExpectSameBytes(expected, y);
}

TEST_F(CApiPatchStageTest, SaysWhatIsWrong) {
  program_.words[16] = 99;
  int32_t scratch_bytes = -1;
  EXPECT_EQ(
      QuantMcuPatchStageRead(header_.data(), program_.words.data(), NumWords(),
                             program_.filters.data(), NumFilterBytes(), &scratch_bytes, &error_),
      0);
  EXPECT_STREQ(error_.item, "op");
  EXPECT_EQ(error_.index, 1);
  EXPECT_EQ(std::string(error_.message).rfind("kind must be 0 to ", 0), 0u);
  EXPECT_EQ(error_.found, 99);
  EXPECT_EQ(QuantMcuPatchStageRun(header_.data(), program_.words.data(), NumWords(),
                                  program_.filters.data(), NumFilterBytes(), nullptr, nullptr,
                                  nullptr, nullptr, &error_),
            0);
}

}  // namespace
}  // namespace quantmcu
