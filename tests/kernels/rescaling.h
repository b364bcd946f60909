// How a kernel that moves or mixes the values of one map writes them: in another format, or in the
// same, by chance.
#ifndef TESTS_KERNELS_RESCALING_H_
#define TESTS_KERNELS_RESCALING_H_

#include <algorithm>
#include <cstdint>

#include "tests/kernels/naive.h"

namespace quantmcu {

class Rescaling {
 public:
  Rescaling(int32_t output_bits, naive::Random* random)
      : output_bits_(output_bits),
        is_same_(random->OneIn(2)),
        input_bits_(is_same_ ? output_bits : random->Of(naive::kBits)) {}

  int32_t input_bits() const { return input_bits_; }

  // Draws the output's format and the factor to it, once the input is known.
  void From(const naive::Map& input, naive::Random* random) {
    input_zero_point_ = input.zero_point;
    zero_point = is_same_ ? input.zero_point
                          : random->Uniform(naive::QMin(output_bits_), naive::QMax(output_bits_));
    const Clamp all = {naive::QMin(output_bits_), naive::QMax(output_bits_)};
    clamp = random->OneIn(3) ? naive::RandomClamp(output_bits_, zero_point, random) : all;
    factor = is_same_ ? FixedPoint{1 << 30, 1}
                      : naive::RandomFactor(1 << input_bits_, output_bits_, random);
  }

  // What stands in the output for a value of the input.
  int32_t operator()(int32_t value) const {
    return std::clamp(naive::Product(value - input_zero_point_, factor) + zero_point, clamp.min,
                      clamp.max);
  }

  int32_t zero_point = 0;
  Clamp clamp = {};
  FixedPoint factor = {};

 private:
  int32_t output_bits_;
  bool is_same_;
  int32_t input_bits_;
  int32_t input_zero_point_ = 0;
};

}  // namespace quantmcu

#endif  // TESTS_KERNELS_RESCALING_H_
