#include "tflm_kernels/micro/node.h"

#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace {

constexpr char kInput[] = "input";
constexpr char kOutput[] = "output";
constexpr int kNoScratch = -1;

const TfLiteEvalTensor* OutputTensor(const TfLiteContext* context, const TfLiteNode* node) {
  return GetEvalTensor(context, node->outputs->data[0]);
}

int32_t LastDimension(const TfLiteEvalTensor& tensor) {
  return tensor.dims->data[tensor.dims->size - 1];
}

int32_t Height(const TfLiteEvalTensor& tensor) {
  return tensor.dims->size == 4 ? tensor.dims->data[1] : 1;
}

int32_t Width(const TfLiteEvalTensor& tensor) {
  return tensor.dims->size == 4 ? tensor.dims->data[2] : 1;
}

// Row bytes are in 64 bits first: nobody may have checked the width.
FeatureMap MapOf(const TfLiteEvalTensor& tensor, int32_t channels, const NarrowFormat& format) {
  const int64_t row_bytes = int64_t{Width(tensor)} * RunBytes(channels, format.bits);
  return {Height(tensor), Width(tensor),    channels, static_cast<int32_t>(row_bytes),
          format.bits,    format.zero_point};
}

// More than kMaxBytes, which no count may be, when a dimension is negative or there are too many.
int64_t CheckedNumElements(const TfLiteEvalTensor& tensor) {
  int64_t count = 1;
  for (int i = 0; i < tensor.dims->size; ++i) {
    if (tensor.dims->data[i] < 0) return int64_t{kMaxBytes} + 1;
    count = SaturatingProduct(count, tensor.dims->data[i]);
  }
  return count;
}

int Shown(int64_t number) { return number > INT32_MAX ? INT32_MAX : static_cast<int>(number); }

}  // namespace

TfLiteStatus RequestScratch(TfLiteContext* context, size_t bytes, int16_t* index) {
  *index = kNoScratch;
  if (bytes == 0) return kTfLiteOk;
  int found = 0;
  const TfLiteStatus status = RequestScratchBufferInArena(context, bytes, &found);
  if (status != kTfLiteOk) return status;
  if (found > INT16_MAX) {
    ReportError(context, "the model has %d scratch buffers; supported are 32768", found + 1);
    return kTfLiteError;
  }
  *index = static_cast<int16_t>(found);
  return kTfLiteOk;
}

uint8_t* Scratch(TfLiteContext* context, int index) {
  if (index == kNoScratch) return nullptr;
  return static_cast<uint8_t*>(GetScratchBuffer(context, index));
}

const TfLiteEvalTensor* InputTensor(const TfLiteContext* context, const TfLiteNode* node,
                                    int index) {
  return GetEvalTensor(context, node->inputs->data[index]);
}

const uint8_t* InputBytes(const TfLiteContext* context, const TfLiteNode* node, int index) {
  return static_cast<const uint8_t*>(InputTensor(context, node, index)->data.data);
}

const int32_t* InputWords(const TfLiteContext* context, const TfLiteNode* node, int index) {
  return static_cast<const int32_t*>(InputTensor(context, node, index)->data.data);
}

uint8_t* OutputBytes(const TfLiteContext* context, const TfLiteNode* node) {
  return static_cast<uint8_t*>(OutputTensor(context, node)->data.data);
}

FeatureMap InputMap(const TfLiteContext* context, const TfLiteNode* node, int index,
                    int32_t channels, const NarrowFormat& format) {
  return MapOf(*InputTensor(context, node, index), channels, format);
}

FeatureMap OutputMap(const TfLiteContext* context, const TfLiteNode* node, int32_t channels,
                     const NarrowFormat& format) {
  return MapOf(*OutputTensor(context, node), channels, format);
}

NodeChecker::NodeChecker(TfLiteContext* context, const TfLiteNode* node, const char* op,
                         int num_inputs, int num_optional)
    : context_(context), node_(node), op_(op) {
  Require(node->inputs->size == num_inputs, "the number of inputs is wrong");
  Require(node->outputs->size == 1, "the number of outputs must be 1");
  for (int i = num_optional; is_ok_ && i < num_inputs; ++i) {
    Expect(node->inputs->data[i] >= 0, kInput, i, "must not be left out", node->inputs->data[i]);
  }
}

void NodeChecker::InputMap(int index, const FeatureMap& map) {
  if (is_ok_) Map(*InputTensor(context_, node_, index), kInput, index, map);
}

void NodeChecker::OutputMap(const FeatureMap& map) {
  if (is_ok_) Map(*OutputTensor(context_, node_), kOutput, 0, map);
}

void NodeChecker::InputVector(int index, const FeatureMap& vector) {
  if (is_ok_) Vector(*InputTensor(context_, node_, index), kInput, index, vector);
}

void NodeChecker::OutputVector(const FeatureMap& vector) {
  if (is_ok_) Vector(*OutputTensor(context_, node_), kOutput, 0, vector);
}

void NodeChecker::Map(const TfLiteEvalTensor& tensor, const char* role, int index,
                      const FeatureMap& map) {
  const TfLiteIntArray& dims = *tensor.dims;
  Expect(tensor.type == kTfLiteInt8, role, index, "must be int8", tensor.type);
  Expect(dims.size == 4 || dims.size == 2, role, index, "must have rank 4 or 2", dims.size);
  if (!is_ok_) return;
  ExpectCount(role, index, "batches", dims.data[0], 1);
  ExpectCount(role, index, "rows", Height(tensor), map.height);
  ExpectCount(role, index, "columns", Width(tensor), map.width);
  Expect(InRange(map.height, 1, kMaxExtent), role, index, "must have height 1 to 32767",
         map.height);
  Expect(InRange(map.width, 1, kMaxExtent), role, index, "must have width 1 to 32767", map.width);
  ExpectCount(role, index, "bytes a pixel", LastDimension(tensor), PixelBytes(map));
  Expect(CheckedNumElements(tensor) <= kMaxBytes, role, index, "must have less than 2^31 bytes",
         map.channels);
}

void NodeChecker::Vector(const TfLiteEvalTensor& tensor, const char* role, int index,
                         const FeatureMap& vector) {
  Expect(tensor.type == kTfLiteInt8, role, index, "must be int8", tensor.type);
  Expect(tensor.dims->size >= 1, role, index, "must have rank 1 or more", tensor.dims->size);
  if (!is_ok_) return;
  ExpectCount(role, index, "batches", tensor.dims->data[0], 1);
  ExpectCount(role, index, "bytes", CheckedNumElements(tensor), PixelBytes(vector));
}

void NodeChecker::Filter(int index, int64_t num_runs, int32_t run_bytes) {
  Constant(index, kTfLiteInt8);
  if (!is_ok_) return;
  const TfLiteEvalTensor& tensor = *InputTensor(context_, node_, index);
  ExpectCount(kInput, index, "bytes", CheckedNumElements(tensor),
              SaturatingProduct(num_runs, run_bytes));
  if (is_ok_) ExpectCount(kInput, index, "bytes a run", LastDimension(tensor), run_bytes);
}

void NodeChecker::Table(int index, int32_t num_channels, int64_t num_products, int32_t input_bits,
                        int32_t weight_bits) {
  ExpectCount(kInput, index, "words", Constant(index, kTfLiteInt32), 3 * int64_t{num_channels});
  if (!is_ok_) return;
  const int32_t* table = InputWords(context_, node_, index);
  const int32_t bad_channel = FindBadChannel(ChannelTableOf(table, num_channels), num_channels,
                                             num_products, input_bits, weight_bits);
  Expect(bad_channel < 0, kInput, index,
         "has a channel whose multiplier or shift is out of range, or whose sum may leave int32",
         bad_channel);
}

void NodeChecker::Lut(int index, int32_t num_entries, const Clamp& clamp) {
  ExpectCount(kInput, index, "entries", Constant(index, kTfLiteInt8), num_entries);
  if (!is_ok_) return;
  const int32_t bad_entry = FindBadEntry(InputBytes(context_, node_, index), num_entries, clamp);
  Expect(bad_entry < 0, kInput, index, "has an entry outside the clamps", bad_entry);
}

int32_t NodeChecker::Constant(int index, TfLiteType type) {
  if (!is_ok_) return 0;
  const TfLiteEvalTensor& tensor = *InputTensor(context_, node_, index);
  Expect(tensor.type == type, kInput, index, type == kTfLiteInt8 ? "must be int8" : "must be int32",
         tensor.type);
  const int64_t num_elements = CheckedNumElements(tensor);
  Expect(tensor.data.data != nullptr || num_elements == 0, kInput, index, "must be a constant", 0);
  Expect(num_elements <= kMaxBytes, kInput, index, "must have less than 2^31 elements",
         tensor.dims->size);
  const auto address = reinterpret_cast<uintptr_t>(tensor.data.data);
  Expect(type == kTfLiteInt8 || address % alignof(int32_t) == 0, kInput, index,
         "must stand on a multiple of 4: align the model's array to 16 bytes",
         static_cast<int64_t>(address % alignof(int32_t)));
  return is_ok_ ? static_cast<int32_t>(num_elements) : 0;
}

void NodeChecker::Require(bool is_met, const char* otherwise) {
  if (!is_ok_ || is_met) return;
  is_ok_ = false;
  ReportError(context_, "%s: %s", op_, otherwise);
}

void NodeChecker::Expect(bool is_met, const char* role, int index, const char* requirement,
                         int64_t found) {
  if (!is_ok_ || is_met) return;
  is_ok_ = false;
  ReportError(context_, "%s: %s %d %s (found %d)", op_, role, index, requirement, Shown(found));
}

void NodeChecker::ExpectCount(const char* role, int index, const char* what, int64_t found,
                              int64_t expected) {
  if (!is_ok_ || found == expected) return;
  is_ok_ = false;
  ReportError(context_, "%s: %s %d has %d %s; its op needs %d", op_, role, index, Shown(found),
              what, Shown(expected));
}

}  // namespace quantmcu
