#include "tflm_kernels/micro/python/handshake.h"

#include <string.h>

#include "tflm_kernels/micro/node.h"

namespace quantmcu {
namespace {

constexpr char kOp[] = "QMCU_HANDSHAKE";
constexpr char kOptions[] = {'Q', 'M', 'C', 'U'};
constexpr int kInput = 0;
constexpr int kTable = 1;

struct OpData {
  int16_t scratch_index;
};

void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  if (length != sizeof(kOptions) || memcmp(buffer, kOptions, length) != 0) return nullptr;
  return AllocateOpData<OpData>(context, kOp);
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  auto* data = static_cast<OpData*>(node->user_data);
  if (data == nullptr) return kTfLiteError;
  const int32_t length = InputTensor(context, node, kInput)->dims->data[1];
  NodeChecker checker(context, node, kOp, 2);
  checker.InputVector(kInput, {1, 1, length, length, 8, 0});
  checker.OutputVector({1, 1, length, length, 8, 0});
  if (checker.Constant(kTable, kTfLiteInt32) == 0) return kTfLiteError;
  ReportError(context, "%s: %d values", kOp, static_cast<int>(length));
  return RequestScratch(context, static_cast<size_t>(length), &data->scratch_index);
}

TfLiteStatus Eval(TfLiteContext* context, TfLiteNode* node) {
  const int32_t length = InputTensor(context, node, kInput)->dims->data[1];
  const int32_t table_length = InputTensor(context, node, kTable)->dims->data[0];
  const uint8_t* input = InputBytes(context, node, kInput);
  const int32_t* table = InputWords(context, node, kTable);
  uint8_t* reversed = Scratch(context, static_cast<OpData*>(node->user_data)->scratch_index);
  uint8_t* output = OutputBytes(context, node);
  for (int32_t i = 0; i < length; ++i) reversed[i] = input[length - 1 - i];
  for (int32_t i = 0; i < length; ++i) {
    output[i] = static_cast<uint8_t>(reversed[i] + table[i % table_length]);
  }
  return kTfLiteOk;
}

}  // namespace

const TFLMRegistration* Register_QMCU_HANDSHAKE() {
  static const TFLMRegistration registration = {Init, nullptr, Prepare, Eval, nullptr, 0, nullptr};
  return &registration;
}

}  // namespace quantmcu
