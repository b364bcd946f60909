// A stand-in for TFLM's interpreter around one node: what ops ask of TfLiteContext, and what they
// reported.
#ifndef TESTS_KERNELS_FAKE_TFLM_H_
#define TESTS_KERNELS_FAKE_TFLM_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tflm_kernels/micro/context.h"
#include "tflm_kernels/micro/tflm.h"

namespace quantmcu {

// One tensor; bytes may be empty for those that an op must only look at.
struct FakeTensor {
  TfLiteType type;
  std::vector<int> shape;
  std::vector<uint8_t> bytes;
  bool is_constant;
  bool is_left_out = false;
};

FakeTensor Int8Tensor(std::vector<int> shape, std::vector<uint8_t> bytes);
FakeTensor Int8Constant(std::vector<int> shape, std::vector<uint8_t> bytes);
FakeTensor Int32Constant(const std::vector<int32_t>& words);

// In place of an input that an op does without.
FakeTensor LeftOut();

// An op's options, as a writer of models builds them.
struct FakeOptions {
  std::map<std::string, int64_t> integers;
  std::map<std::string, std::string> strings;

  std::vector<uint8_t> FlexBuffer() const;
};

class FakeInterpreter {
 public:
  FakeInterpreter(const TFLMRegistration& registration, const std::vector<uint8_t>& options,
                  std::vector<FakeTensor> inputs, FakeTensor output);

  // Init and Prepare. Data of tensors that are not constant is out of reach, as in TFLM.
  TfLiteStatus Prepare();

  // The output's bytes. Needs a Prepare that went well.
  std::vector<uint8_t> Invoke();

  // Runs the op, which may fail.
  TfLiteStatus Eval();

  // Everything reported, one sentence a line.
  const std::string& reports() const { return reports_; }
  int num_scratch_requests() const { return num_scratch_requests_; }

  // As if the arena were full.
  void FailAllocations() { is_arena_full_ = true; }

  // As if the model stood where its constants are no multiple of 4.
  void Misalign() { misaligned_by_ = 1; }

  // As if the arena had no more bytes for scratch.
  void LimitScratch(size_t bytes) { max_scratch_ = bytes; }
  bool is_scratch_refused() const { return is_scratch_refused_; }

 private:
  static FakeInterpreter* Of(const TfLiteContext* context);
  static tflm_abi::ContextFunctions Functions();
  static void ReportError(TfLiteContext* context, const char* format, ...);
  static TfLiteIntArray* IntArray(const std::vector<int>& values, std::vector<int>* storage);

  TfLiteContext* context() { return reinterpret_cast<TfLiteContext*>(this); }
  void ShowData(bool all);

  const TFLMRegistration& registration_;
  std::vector<uint8_t> options_;
  std::vector<FakeTensor> tensors_;  // inputs, then the output
  std::vector<std::vector<int>> int_arrays_;
  std::vector<TfLiteEvalTensor> eval_tensors_;
  std::vector<std::unique_ptr<uint8_t[]>> persistent_;
  std::vector<uint8_t> scratch_;
  int num_scratch_requests_ = 0;
  size_t misaligned_by_ = 0;
  size_t max_scratch_ = SIZE_MAX;
  bool is_scratch_refused_ = false;
  std::string reports_;
  bool is_arena_full_ = false;
  TfLiteNode node_ = {};
};

}  // namespace quantmcu

#endif  // TESTS_KERNELS_FAKE_TFLM_H_
