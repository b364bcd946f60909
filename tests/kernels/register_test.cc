#include "tflm_kernels/micro/register.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

extern "C" void QuantMcuSetContextFunctions(const tflm_abi::ContextFunctions* functions);
extern "C" bool QuantMcuRegisterOps(void* resolver);

namespace quantmcu {
namespace {

using tflm_abi::PythonOpsResolver;

const std::vector<std::string> kNames = {
    "QMCU_ADD",       "QMCU_AVERAGE_POOL_2D",   "QMCU_CHANNEL_LUT",
    "QMCU_CONV_2D",   "QMCU_DEPTHWISE_CONV_2D", "QMCU_FULLY_CONNECTED",
    "QMCU_LUT",       "QMCU_MAX_POOL_2D",       "QMCU_PATCH_STAGE",
    "QMCU_REQUANTIZE"};

// As MicroMutableOpResolver, with room for a few ops.
struct Resolver {
  TfLiteStatus AddCustom(const char* name, const TFLMRegistration* registration) {
    if (names.size() == capacity) return kTfLiteError;
    EXPECT_NE(registration->init, nullptr);
    EXPECT_NE(registration->prepare, nullptr);
    EXPECT_NE(registration->invoke, nullptr);
    names.push_back(name);
    return kTfLiteOk;
  }

  size_t capacity;
  std::vector<std::string> names;
};

TEST(RegisterOpsTest, AddsEveryOpOnce) {
  Resolver resolver = {kNumOps, {}};
  EXPECT_EQ(RegisterOps(resolver), kTfLiteOk);
  EXPECT_EQ(resolver.names, kNames);
}

TEST(RegisterOpsTest, PassesTheResolversErrorOn) {
  Resolver resolver = {kNumOps - 1, {}};
  EXPECT_EQ(RegisterOps(resolver), kTfLiteError);
}

// With functions that nobody calls.
class RegisterPythonTest : public testing::Test {
 protected:
  RegisterPythonTest() {
    tflm_abi::ContextFunctions functions = {};
    functions.GetEvalTensor = [](const TfLiteContext*, int) -> TfLiteEvalTensor* { std::abort(); };
    QuantMcuSetContextFunctions(&functions);
  }
};

TEST_F(RegisterPythonTest, RefusesWithoutTheInterpretersFunctions) {
  const tflm_abi::ContextFunctions none = {};
  QuantMcuSetContextFunctions(&none);
  const auto resolver = std::make_unique<PythonOpsResolver>();
  EXPECT_FALSE(QuantMcuRegisterOps(resolver.get()));
  EXPECT_EQ(resolver->num_registrations, 0u);
}

TEST_F(RegisterPythonTest, AppendsToTheInterpretersResolver) {
  const auto resolver = std::make_unique<PythonOpsResolver>();
  resolver->num_registrations = 100;
  ASSERT_TRUE(QuantMcuRegisterOps(resolver.get()));
  ASSERT_EQ(resolver->num_registrations, 100u + kNames.size());
  for (size_t i = 0; i < kNames.size(); ++i) {
    EXPECT_EQ(resolver->registrations[100 + i].custom_name, kNames[i]);
    EXPECT_EQ(resolver->registrations[100 + i].builtin_code, 32);
  }
}

TEST_F(RegisterPythonTest, RefusesToRegisterTwiceOrBeyondTheEnd) {
  const auto resolver = std::make_unique<PythonOpsResolver>();
  EXPECT_TRUE(QuantMcuRegisterOps(resolver.get()));
  EXPECT_FALSE(QuantMcuRegisterOps(resolver.get()));
  const auto full = std::make_unique<PythonOpsResolver>();
  full->num_registrations = PythonOpsResolver::kMaxRegistrations - 3;
  EXPECT_FALSE(QuantMcuRegisterOps(full.get()));
  EXPECT_EQ(full->num_registrations, PythonOpsResolver::kMaxRegistrations);
}

}  // namespace
}  // namespace quantmcu
