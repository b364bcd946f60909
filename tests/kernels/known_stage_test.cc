// A patch stage that the build knows: it runs as any other does, and nothing else is taken in its place.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/kernels/fake_tflm.h"
#include "tests/kernels/naive.h"
#include "tests/kernels/op_cases.h"
#include "tflm_kernels/micro/patch_stage.h"
#include "tflm_kernels/portable/law/crc32.h"

namespace quantmcu {
namespace {

KnownStage g_known[2];  // a program's are constexpr

uint32_t NumBytes(const std::vector<uint8_t>& bytes) { return static_cast<uint32_t>(bytes.size()); }

// A stage that g_known[1] tells of.
OpCase KnownCase() {
  OpCase c = PatchStageCase(5);
  const std::vector<uint8_t> options = c.options.FlexBuffer();
  const std::vector<uint8_t>& program = c.inputs[2].bytes;
  const uint32_t crc32 =
      Crc32(program.data(), NumBytes(program), Crc32(options.data(), NumBytes(options)));
  g_known[1] = {crc32,
                static_cast<int32_t>(c.inputs[1].bytes.size()),
                {2, 3, 5, 6, 2, 0, 0, -128, 127, 65536}};
  c.registration = RegisterKnownPatchStage<reference::kKernels, g_known>();
  return c;
}

FakeInterpreter Interpreter(const OpCase& c) {
  return FakeInterpreter(*c.registration, c.options.FlexBuffer(), c.inputs, c.output);
}

void ExpectRefusal(const OpCase& c) {
  FakeInterpreter interpreter = Interpreter(c);
  EXPECT_EQ(interpreter.Prepare(), kTfLiteError);
  EXPECT_EQ(interpreter.reports(),
            "QMCU_PATCH_STAGE: the model is not the one that this program was built for\n");
}

TEST(KnownStageTest, RunsAsAnyOther) {
  const OpCase c = KnownCase();
  FakeInterpreter interpreter = Interpreter(c);
  ASSERT_EQ(interpreter.Prepare(), kTfLiteOk) << interpreter.reports();
  EXPECT_EQ(interpreter.num_scratch_requests(), 1);
  naive::ExpectSameBytes(c.expected, interpreter.Invoke());
}

TEST(KnownStageTest, RefusesOtherOptionsProgramsAndFilters) {
  OpCase c = KnownCase();
  c.options.integers["tile_width"] = 2;
  ExpectRefusal(c);
  c = KnownCase();
  ++c.inputs[2].bytes.back();
  ExpectRefusal(c);
  c = KnownCase();
  c.inputs[1].bytes.pop_back();
  --c.inputs[1].shape.back();
  ExpectRefusal(c);
}

TEST(KnownStageTest, SaysWhereTheArenaIsFull) {
  FakeInterpreter interpreter = Interpreter(KnownCase());
  interpreter.FailAllocations();
  EXPECT_EQ(interpreter.Prepare(), kTfLiteError);
  EXPECT_NE(interpreter.reports().find("the arena has no "), std::string::npos);
}

}  // namespace
}  // namespace quantmcu
