// Small, not fast: it sees a handful of values.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/portable/ops/softmax.h"

#include "tflm_kernels/portable/law/softmax_rows.h"

namespace quantmcu {
namespace reference {
namespace {

void SoftmaxRow(const SoftmaxParams& params, const int8_t* input, int8_t* output) {
  const int32_t largest = LargestOf(input, params.depth);
  const uint32_t sum = SumOfExps(params, input, largest);
  // sum = (1 + fraction) * 2^(31 - headroom).
  const int32_t headroom = NumLeadingZeros(sum);
  const auto fraction = static_cast<int32_t>((sum << headroom) - (uint32_t{1} << 31));
  const int32_t reciprocal = ReciprocalOfOnePlus(fraction);
  const int32_t right_shift = kSumBits - headroom + 31 - 8;
  for (int32_t i = 0; i < params.depth; ++i) {
    const int32_t e = ExpOfDifference(params, input[i] - largest);
    const int32_t product = RoundingDoublingHighMultiply(reciprocal, e);
    const int32_t share = right_shift < 32 ? RoundingDivideByPowerOfTwo(product, right_shift) : 0;
    const int32_t y = share + QMin(8);
    output[i] = static_cast<int8_t>(y > QMax(8) ? QMax(8) : y);
  }
}

}  // namespace

void Softmax(const SoftmaxParams& params, const uint8_t* input, uint8_t* output) {
  for (int32_t row = 0; row < params.rows; ++row) {
    const int32_t first = row * params.depth;
    SoftmaxRow(params, reinterpret_cast<const int8_t*>(input + first),
               reinterpret_cast<int8_t*>(output + first));
  }
}

}  // namespace reference
}  // namespace quantmcu
