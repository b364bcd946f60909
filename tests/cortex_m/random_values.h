// Seeded pseudo-random feature maps, filters and tables, the same on every machine, in buffers of
// the caller.
#ifndef TESTS_CORTEX_M_RANDOM_VALUES_H_
#define TESTS_CORTEX_M_RANDOM_VALUES_H_

#include <stdint.h>

#include "tflm_kernels/portable/law/feature_map.h"
#include "tflm_kernels/portable/law/fixed_point.h"
#include "tflm_kernels/portable/law/limits.h"
#include "tflm_kernels/portable/law/packed.h"

namespace quantmcu {

class RandomValues {
 public:
  explicit RandomValues(uint32_t seed) : state_(seed * 2654435761u | 1) {}

  // In [min, max].
  int32_t Uniform(int32_t min, int32_t max) {
    return min + static_cast<int32_t>(Next() % (static_cast<uint32_t>(max) - min + 1u));
  }

  // Runs as docs/format.md F2 has them; returns their bytes.
  int32_t FillRuns(int32_t num_runs, int32_t run_length, int32_t bits, uint8_t* runs) {
    const int32_t run_bytes = RunBytes(run_length, bits);
    for (int32_t r = 0; r < num_runs; ++r) {
      for (int32_t i = 0; i < run_length; ++i) {
        StoreValue(runs + r * run_bytes, i, bits, Uniform(QMin(bits), QMax(bits)));
      }
    }
    return num_runs * run_bytes;
  }

  void FillMap(const FeatureMap& map, uint8_t* pixels) {
    FillRuns(map.height * map.width, map.channels, map.bits, pixels);
  }

  // Away from the ends, so that outputs seldom all clamp.
  int32_t ZeroPoint(int32_t bits) { return Uniform(QMin(bits) / 2, QMax(bits) / 2); }

  Clamp ClampOf(int32_t bits) {
    const int32_t min = Uniform(QMin(bits), QMin(bits) * 3 / 4);
    return {min, Uniform(QMax(bits) * 3 / 4, QMax(bits))};
  }

  // A factor that brings values of about 2^magnitude_bits into the range of `bits`.
  FixedPoint Factor(int32_t magnitude_bits, int32_t bits) {
    return {Uniform(1 << 30, INT32_MAX), bits - magnitude_bits};
  }

  // bias[O], multiplier[O], shift[O] for sums of `num_products` products.
  void FillTable(int32_t num_channels, int32_t num_products, int32_t input_bits,
                 int32_t weight_bits, int32_t output_bits, int32_t* table) {
    int32_t magnitude_bits = input_bits + weight_bits - 2;
    for (int32_t n = num_products; n > 1; n /= 4) ++magnitude_bits;  // sums grow with the root
    for (int32_t c = 0; c < num_channels; ++c) {
      const FixedPoint factor = Factor(magnitude_bits, output_bits);
      table[c] = Uniform(-(1 << (magnitude_bits - 1)), 1 << (magnitude_bits - 1));
      table[num_channels + c] = factor.multiplier;
      table[2 * num_channels + c] = factor.shift;
    }
  }

 private:
  // xorshift32; the state is never 0.
  uint32_t Next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return state_;
  }

  uint32_t state_;
};

}  // namespace quantmcu

#endif  // TESTS_CORTEX_M_RANDOM_VALUES_H_
