#include "tests/kernels/fake_tflm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <utility>

#include "flatbuffers/flexbuffers.h"

namespace quantmcu {

FakeTensor Int8Tensor(std::vector<int> shape, std::vector<uint8_t> bytes) {
  return {kTfLiteInt8, std::move(shape), std::move(bytes), false};
}

FakeTensor Int8Constant(std::vector<int> shape, std::vector<uint8_t> bytes) {
  return {kTfLiteInt8, std::move(shape), std::move(bytes), true};
}

FakeTensor Int32Constant(const std::vector<int32_t>& words) {
  std::vector<uint8_t> bytes(words.size() * sizeof(int32_t));
  std::memcpy(bytes.data(), words.data(), bytes.size());
  return {kTfLiteInt32, {static_cast<int>(words.size())}, std::move(bytes), true};
}

FakeTensor LeftOut() { return {kTfLiteInt8, {}, {}, false, true}; }

std::vector<uint8_t> FakeOptions::FlexBuffer() const {
  flexbuffers::Builder builder;
  builder.Map([&] {
    for (const auto& [key, value] : integers) builder.Int(key.c_str(), value);
    for (const auto& [key, value] : strings) builder.String(key.c_str(), value);
  });
  builder.Finish();
  return builder.GetBuffer();
}

FakeInterpreter::FakeInterpreter(const TFLMRegistration& registration,
                                 const std::vector<uint8_t>& options,
                                 std::vector<FakeTensor> inputs, FakeTensor output)
    : registration_(registration), options_(options), tensors_(std::move(inputs)) {
  const int num_inputs = static_cast<int>(tensors_.size());
  tensors_.push_back(std::move(output));
  int_arrays_.resize(tensors_.size() + 2);
  eval_tensors_.resize(tensors_.size());
  std::vector<int> input_indices;
  for (int i = 0; i < num_inputs; ++i) {
    input_indices.push_back(tensors_[i].is_left_out ? -1 : i);
  }
  node_.inputs = IntArray(input_indices, &int_arrays_[tensors_.size()]);
  node_.outputs = IntArray({num_inputs}, &int_arrays_[tensors_.size() + 1]);
  for (size_t i = 0; i < tensors_.size(); ++i) {
    eval_tensors_[i].dims = IntArray(tensors_[i].shape, &int_arrays_[i]);
    eval_tensors_[i].type = tensors_[i].type;
  }
  context_functions = Functions();
}

tflm_abi::ContextFunctions FakeInterpreter::Functions() {
  tflm_abi::ContextFunctions functions = {};
  functions.ReportOpError = ReportError;
  functions.AllocatePersistentBuffer = [](TfLiteContext* context, size_t bytes) -> void* {
    FakeInterpreter* self = Of(context);
    if (self->is_arena_full_) return nullptr;
    self->persistent_.push_back(std::make_unique<uint8_t[]>(bytes));
    std::fill_n(self->persistent_.back().get(), bytes, uint8_t{0xCD});
    return self->persistent_.back().get();
  };
  functions.RequestScratchBufferInArena = [](TfLiteContext* context, size_t bytes, int* index) {
    FakeInterpreter* self = Of(context);
    self->is_scratch_refused_ = bytes > self->max_scratch_;
    if (self->is_scratch_refused_) return kTfLiteError;
    *index = self->num_scratch_requests_++;
    self->scratch_.assign(bytes, 0xA5);
    return kTfLiteOk;
  };
  functions.GetScratchBuffer = [](TfLiteContext* context, int) -> void* {
    return Of(context)->scratch_.data();
  };
  functions.GetEvalTensor = [](const TfLiteContext* context, int index) {
    return &Of(context)->eval_tensors_[index];
  };
  return functions;
}

TfLiteStatus FakeInterpreter::Prepare() {
  ShowData(false);
  node_.custom_initial_data = options_.data();
  node_.custom_initial_data_size = static_cast<int>(options_.size());
  node_.user_data = registration_.init(context(), reinterpret_cast<const char*>(options_.data()),
                                       options_.size());
  return registration_.prepare(context(), &node_);
}

std::vector<uint8_t> FakeInterpreter::Invoke() {
  EXPECT_EQ(Eval(), kTfLiteOk);
  return tensors_.back().bytes;
}

TfLiteStatus FakeInterpreter::Eval() {
  ShowData(true);
  return registration_.invoke(context(), &node_);
}

FakeInterpreter* FakeInterpreter::Of(const TfLiteContext* context) {
  return reinterpret_cast<FakeInterpreter*>(const_cast<TfLiteContext*>(context));
}

void FakeInterpreter::ReportError(TfLiteContext* context, const char* format, ...) {
  char sentence[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(sentence, sizeof(sentence), format, arguments);
  va_end(arguments);
  Of(context)->reports_ += std::string(sentence) + "\n";
}

TfLiteIntArray* FakeInterpreter::IntArray(const std::vector<int>& values,
                                          std::vector<int>* storage) {
  storage->assign(1, static_cast<int>(values.size()));
  storage->insert(storage->end(), values.begin(), values.end());
  return reinterpret_cast<TfLiteIntArray*>(storage->data());
}

void FakeInterpreter::ShowData(bool all) {
  for (size_t i = 0; i < tensors_.size(); ++i) {
    eval_tensors_[i].data.data =
        all || tensors_[i].is_constant ? tensors_[i].bytes.data() : nullptr;
    if (misaligned_by_ == 0 || !tensors_[i].is_constant) continue;
    tensors_[i].bytes.insert(tensors_[i].bytes.begin(), misaligned_by_, 0);
    eval_tensors_[i].data.data = tensors_[i].bytes.data() + misaligned_by_;
  }
}

}  // namespace quantmcu
