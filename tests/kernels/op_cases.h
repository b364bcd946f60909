// One valid node of each op, with the bytes that naive.h expects of it.
#ifndef TESTS_KERNELS_OP_CASES_H_
#define TESTS_KERNELS_OP_CASES_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "tests/kernels/fake_tflm.h"

namespace quantmcu {

struct OpCase {
  std::string name;  // custom code
  const TFLMRegistration* registration;
  FakeOptions options;
  std::vector<FakeTensor> inputs;
  FakeTensor output;
  std::vector<uint8_t> expected;
};

// For GoogleTest.
void PrintTo(const OpCase& c, std::ostream* stream);

std::vector<OpCase> OpCases();

// A stage of random ops.
OpCase PatchStageCase(int32_t num_ops);

// The case of one op.
OpCase OpCaseOf(const std::string& name);

}  // namespace quantmcu

#endif  // TESTS_KERNELS_OP_CASES_H_
