// Every op with valid nodes that are changed here and there, on the stand-in for TFLM: Prepare refuses the node with a
// sentence, or Eval runs and touches nothing that is not its own. An input is the op, then changes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "flatbuffers/flexbuffers.h"
#include "tests/kernels/fake_tflm.h"
#include "tests/kernels/op_cases.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace {

constexpr int64_t kMaxElements = 1 << 14;
constexpr size_t kMaxScratch = size_t{1} << 20;
constexpr int kMaxChanges = 12;

// Reads numbers from the front; zeros behind the end.
class Source {
 public:
  Source(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  bool is_empty() const { return size_ == 0; }

  uint8_t Byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }

  int32_t Below(size_t limit) { return limit == 0 ? 0 : static_cast<int32_t>(Byte() % limit); }

  // Small, at an edge, or any.
  int32_t Int() {
    constexpr int32_t kEdges[] = {-1,  0,     1,     2,     3,     127,       128,       255,
                                  256, 32767, 32768, 65535, 65536, INT32_MAX, INT32_MIN, -32768};
    const uint8_t kind = Byte();
    if (kind < 96) return static_cast<int8_t>(Byte());
    if (kind < 192) return kEdges[kind % std::size(kEdges)];
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8 | Byte();
    return static_cast<int32_t>(value);
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

// A valid node, and what becomes of it. Options are 32 bits wide, so that numbers change in place.
struct Node {
  const TFLMRegistration* registration;
  std::vector<std::string> keys;  // of options that are numbers
  std::vector<uint8_t> options;
  std::vector<FakeTensor> inputs;
  FakeTensor output;
};

std::vector<Node> ValidNodes() {
  std::vector<Node> nodes;
  for (const OpCase& c : OpCases()) {
    Node node = {c.registration, {}, {}, c.inputs, c.output};
    flexbuffers::Builder builder;
    builder.ForceMinimumBitWidth(flexbuffers::BIT_WIDTH_32);
    builder.Map([&] {
      for (const auto& [key, value] : c.options.integers) builder.Int(key.c_str(), value);
      for (const auto& [key, value] : c.options.strings) builder.String(key.c_str(), value);
    });
    builder.Finish();
    node.options = builder.GetBuffer();
    for (const auto& [key, value] : c.options.integers) node.keys.push_back(key);
    nodes.push_back(node);
  }
  return nodes;
}

int64_t NumElements(const FakeTensor& tensor) {
  int64_t count = 1;
  for (int size : tensor.shape) count = size < 0 ? INT32_MAX : SaturatingProduct(count, size);
  return count;
}

FakeTensor* AnyTensor(Node* node, Source* source) {
  const size_t index = source->Below(node->inputs.size() + 1);
  return index == node->inputs.size() ? &node->output : &node->inputs[index];
}

void ChangeShape(FakeTensor* tensor, Source* source) {
  const int32_t what = source->Below(tensor->shape.size() + 2);
  if (what < static_cast<int32_t>(tensor->shape.size())) {
    tensor->shape[what] = source->Int();
  } else if (what == static_cast<int32_t>(tensor->shape.size())) {
    tensor->shape.push_back(source->Int());
  } else if (!tensor->shape.empty()) {
    tensor->shape.pop_back();
  }
}

void ChangeConstant(FakeTensor* tensor, Source* source) {
  if (tensor->bytes.empty()) return;
  const size_t place = (size_t{source->Byte()} << 8 | source->Byte()) % tensor->bytes.size();
  tensor->bytes[place] = source->Byte();
}

// A word of a table or program.
void ChangeWord(FakeTensor* tensor, Source* source) {
  if (tensor->bytes.size() < 4) return;
  const size_t word = (size_t{source->Byte()} << 8 | source->Byte()) % (tensor->bytes.size() / 4);
  const auto value = static_cast<uint32_t>(source->Int());
  for (int i = 0; i < 4; ++i) tensor->bytes[4 * word + i] = static_cast<uint8_t>(value >> 8 * i);
}

void ChangeOption(Node* node, Source* source) {
  const std::string& key = node->keys[source->Below(node->keys.size())];
  flexbuffers::GetRoot(node->options).AsMap()[key].MutateInt(source->Int());
}

void ChangeOptionBytes(Node* node, Source* source) {
  for (int count = source->Below(8); count >= 0; --count) {
    const size_t place = source->Byte() << 8 | source->Byte();
    node->options[place % node->options.size()] = source->Byte();
  }
}

// Bytes of options change last: what is left is no longer read as a map here.
void Change(Node* node, Source* source, bool* is_last) {
  FakeTensor* tensor = AnyTensor(node, source);
  switch (source->Below(9)) {
    case 0:
    case 1:
      return ChangeOption(node, source);
    case 2:
      return ChangeShape(tensor, source);
    case 3:
      tensor->type = static_cast<TfLiteType>(source->Below(16));
      return;
    case 4:
      return ChangeConstant(tensor, source);
    case 5:
      return ChangeWord(tensor, source);
    case 6:
      tensor->is_constant = !tensor->is_constant;
      return;
    case 7:
      tensor->is_left_out = tensor != &node->output;
      return;
    default:
      *is_last = true;
      return ChangeOptionBytes(node, source);
  }
}

// Tensors have the bytes that their shape says, as those of a file that was checked.
bool Resize(FakeTensor* tensor) {
  const int64_t count = NumElements(*tensor);
  const int64_t num_bytes = tensor->type == kTfLiteInt32 ? 4 * count : count;
  const bool fits = num_bytes <= kMaxElements;
  tensor->bytes.resize(fits ? static_cast<size_t>(num_bytes) : 0);
  return fits || !tensor->is_constant;
}

}  // namespace
}  // namespace quantmcu

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quantmcu;  // NOLINT(build/namespaces)
  static const std::vector<Node> valid_nodes = ValidNodes();
  Source source(data, size);
  Node node = valid_nodes[source.Below(valid_nodes.size())];
  bool is_last = false;
  for (int i = 0; i < kMaxChanges && !source.is_empty() && !is_last; ++i)
    Change(&node, &source, &is_last);
  bool can_run = NumElements(node.output) <= kMaxElements;
  for (FakeTensor& input : node.inputs) {
    if (!Resize(&input)) return -1;
    can_run = can_run && NumElements(input) <= kMaxElements;
  }
  Resize(&node.output);
  FakeInterpreter interpreter(*node.registration, node.options, std::move(node.inputs),
                              std::move(node.output));
  interpreter.LimitScratch(kMaxScratch);
  if (interpreter.Prepare() == kTfLiteOk) {
    if (can_run && interpreter.Eval() != kTfLiteOk) std::abort();  // after Prepare nothing fails
  } else if (interpreter.reports().empty() && !interpreter.is_scratch_refused()) {
    std::abort();
  }
  return 0;
}
