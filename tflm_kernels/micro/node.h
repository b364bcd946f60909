// micro/node.h - a TFLM node's tensors and memory, with the checks that ops share.
//
// NodeChecker is for Prepare: the first failure is reported once, with the op and the tensor, and
// all later checks pass by. The free functions are for Init and Eval.
#ifndef TFLM_KERNELS_MICRO_NODE_H_
#define TFLM_KERNELS_MICRO_NODE_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/micro/context.h"
#include "tflm_kernels/micro/op_data.h"
#include "tflm_kernels/micro/tflm.h"
#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

// Of a tensor whose shape is sound.
inline int32_t NumElements(const TfLiteEvalTensor& tensor) {
  int32_t count = 1;
  for (int i = 0; i < tensor.dims->size; ++i) count *= tensor.dims->data[i];
  return count;
}

// Persistent memory for an op's data; reports and returns null if the arena has none left.
template <typename OpData>
OpData* AllocateOpData(TfLiteContext* context, const char* op) {
  void* bytes = AllocatePersistentBuffer(context, sizeof(OpData));
  if (bytes == nullptr) {
    ReportError(context, "%s: the arena has no %d bytes left for the op's data", op,
                static_cast<int>(sizeof(OpData)));
  }
  return static_cast<OpData*>(bytes);
}

// In Prepare: asks for `bytes` of scratch during Eval and says in `index` which; none if 0.
TfLiteStatus RequestScratch(TfLiteContext* context, size_t bytes, int16_t* index);

// In Eval: the scratch that RequestScratch promised, null if none.
uint8_t* Scratch(TfLiteContext* context, int index);

const TfLiteEvalTensor* InputTensor(const TfLiteContext* context, const TfLiteNode* node,
                                    int index);
const uint8_t* InputBytes(const TfLiteContext* context, const TfLiteNode* node, int index);
const int32_t* InputWords(const TfLiteContext* context, const TfLiteNode* node, int index);
uint8_t* OutputBytes(const TfLiteContext* context, const TfLiteNode* node);

// A tensor as a map, with its height and width; NodeChecker says whether it is one.
FeatureMap InputMap(const TfLiteContext* context, const TfLiteNode* node, int index,
                    int32_t channels, const NarrowFormat& format);
FeatureMap OutputMap(const TfLiteContext* context, const TfLiteNode* node, int32_t channels,
                     const NarrowFormat& format);

class NodeChecker {
 public:
  // Checks the number of inputs, of which the first `num_optional` may be left out; every op has one
  // output. `op` is the custom code.
  NodeChecker(TfLiteContext* context, const TfLiteNode* node, const char* op, int num_inputs,
              int num_optional = 0);

  // An int8 tensor [1, height, width, run bytes] or [1, run bytes] that holds just the map.
  void InputMap(int index, const FeatureMap& map);
  void OutputMap(const FeatureMap& map);

  // An int8 tensor of batch 1 and any shape that holds just the vector, a map of one pixel.
  void InputVector(int index, const FeatureMap& vector);
  void OutputVector(const FeatureMap& vector);

  // A constant int8 tensor of `num_runs` runs of `run_bytes`, the last dimension.
  void Filter(int index, int64_t num_runs, int32_t run_bytes);

  // The constant int32 table of a convolution's channels (docs/format.md F3), each the sum of
  // `num_products` products.
  void Table(int index, int32_t num_channels, int64_t num_products, int32_t input_bits,
             int32_t weight_bits);

  // The constant int8 tables of a lut (portable/ops/lut.h).
  void Lut(int index, int32_t num_entries, const Clamp& clamp);

  // A constant tensor of `type` and any shape; returns its number of elements, 0 after a failure.
  // An empty one (the filters of a stage without convolutions) has no data.
  int32_t Constant(int index, TfLiteType type);

  // Refuses what `is_met` denies, with a sentence.
  void Require(bool is_met, const char* otherwise);

  TfLiteStatus status() const { return is_ok_ ? kTfLiteOk : kTfLiteError; }

 private:
  void Map(const TfLiteEvalTensor& tensor, const char* role, int index, const FeatureMap& map);
  void Vector(const TfLiteEvalTensor& tensor, const char* role, int index,
              const FeatureMap& vector);
  void Expect(bool is_met, const char* role, int index, const char* requirement, int64_t found);
  void ExpectCount(const char* role, int index, const char* what, int64_t found, int64_t expected);

  TfLiteContext* context_;
  const TfLiteNode* node_;
  const char* op_;
  bool is_ok_ = true;
};

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_NODE_H_
