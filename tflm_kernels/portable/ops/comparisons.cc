#include "tflm_kernels/portable/ops/comparisons.h"

#include <string.h>

namespace quantmcu {
namespace reference {
namespace {

int32_t ValueOf(uint8_t byte) { return static_cast<int8_t>(byte); }

bool IsBelow(int32_t a, int32_t b) { return a < b; }
bool IsAbove(int32_t a, int32_t b) { return a > b; }

using Better = bool(int32_t, int32_t);

template <Better kIsBetter>
void Choose(const ComparisonParams& params, const uint8_t* input0, const uint8_t* input1,
            uint8_t* output) {
  OfPairs(params, input0, input1, output,
          [](uint8_t a, uint8_t b) { return kIsBetter(ValueOf(b), ValueOf(a)) ? b : a; });
}

struct Best {
  int32_t value;
  int32_t index;
};

// Calls found(best) for every kept index in order.
template <Better kIsBetter, typename Found>
void Reduce(const ReductionParams& params, const uint8_t* input, Found found) {
  ForEachOffset(params.kept, params.kept_steps, params.kept_steps, [&](int32_t first, int32_t) {
    Best best = {ValueOf(input[first]), 0};
    int32_t index = 0;
    ForEachOffset(params.reduced, params.reduced_steps, params.reduced_steps,
                  [&](int32_t offset, int32_t) {
                    const int32_t value = ValueOf(input[first + offset]);
                    if (kIsBetter(value, best.value)) best = {value, index};
                    ++index;
                  });
    found(best);
  });
}

template <Better kIsBetter>
void ReduceValues(const ReductionParams& params, const uint8_t* input, uint8_t* output) {
  Reduce<kIsBetter>(params, input,
                    [&](const Best& best) { *output++ = static_cast<uint8_t>(best.value); });
}

template <Better kIsBetter>
void ReduceIndices(const ReductionParams& params, const uint8_t* input, uint8_t* output) {
  Reduce<kIsBetter>(params, input, [&](const Best& best) {
    memcpy(output, &best.index, sizeof(best.index));
    output += sizeof(best.index);
  });
}

}  // namespace

void Minimum(const ComparisonParams& params, const uint8_t* input0, const uint8_t* input1,
             uint8_t* output) {
  Choose<IsBelow>(params, input0, input1, output);
}

void Maximum(const ComparisonParams& params, const uint8_t* input0, const uint8_t* input1,
             uint8_t* output) {
  Choose<IsAbove>(params, input0, input1, output);
}

void ReduceMin(const ReductionParams& params, const uint8_t* input, uint8_t* output) {
  ReduceValues<IsBelow>(params, input, output);
}

void ReduceMax(const ReductionParams& params, const uint8_t* input, uint8_t* output) {
  ReduceValues<IsAbove>(params, input, output);
}

void ArgMin(const ReductionParams& params, const uint8_t* input, uint8_t* output) {
  ReduceIndices<IsBelow>(params, input, output);
}

void ArgMax(const ReductionParams& params, const uint8_t* input, uint8_t* output) {
  ReduceIndices<IsAbove>(params, input, output);
}

}  // namespace reference
}  // namespace quantmcu
