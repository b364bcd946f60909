// DotPixels with the DSP extension, for 8-bit maps and weights.
//
// What is gained: a row of pixels is one run, as its weights are; four of its values are widened once for two outputs,
// with the zero point off.
// Calls the reference for other widths.

// Scheduling before register allocation makes GCC 12 spill what the loop needs.
#ifndef __clang__
#pragma GCC optimize("no-schedule-insns")
#endif

#include "tflm_kernels/cortex_m/dsp/kernels.h"
#include "tflm_kernels/cortex_m/dsp/simd.h"
#include "tflm_kernels/portable/ops/pixel_sums.h"

namespace quantmcu {
namespace dsp {
namespace {

constexpr int32_t kMaxOutputs = 2;

// Adds (pixels[i] - zero_point) * filter[i] of `count` values to the sums of kOutputs rows of the filter.
template <int kOutputs>
void AddRun(const uint8_t* pixels, int32_t zero_point, int32_t count, const uint8_t* filter,
            int32_t filter_bytes, int32_t* sums) {
  const uint32_t minus_zero = static_cast<uint16_t>(-zero_point) * 0x00010001u;
  const uint8_t* rows[kOutputs];
  int32_t found[kOutputs];
#pragma GCC unroll 2
  for (int o = 0; o < kOutputs; ++o) {
    rows[o] = filter + o * filter_bytes;
    found[o] = sums[o];
  }
  const uint8_t* const end = pixels + (count & ~3);
  while (pixels != end) {
    const uint32_t bytes = NextWord(pixels);
    const uint32_t even = Sxtab16(minus_zero, bytes);
    const uint32_t odd = Sxtab16Ror8(minus_zero, bytes);
#pragma GCC unroll 2
    for (int o = 0; o < kOutputs; ++o) {
      const uint32_t weights = NextWord(rows[o]);
      found[o] = Smlad(Sxtb16(weights), even, found[o]);
      found[o] = Smlad(Sxtb16Ror8(weights), odd, found[o]);
    }
  }
  for (int32_t i = 0; i < (count & 3); ++i) {
    const int32_t value = static_cast<int8_t>(pixels[i]) - zero_point;
    for (int o = 0; o < kOutputs; ++o) {
      found[o] = WrappingAdd(found[o], value * static_cast<int8_t>(rows[o][i]));
    }
  }
#pragma GCC unroll 2
  for (int o = 0; o < kOutputs; ++o) sums[o] = found[o];
}

}  // namespace

void DotPixels(const DotPixelsParams& params, const uint8_t* pixels, const uint8_t* filter,
               int32_t* sums) {
  const FeatureMap& in = params.input;
  if (in.bits != 8 || params.weight_bits != 8) {
    reference::DotPixels(params, pixels, filter, sums);
    return;
  }
  const int32_t row_bytes = params.map_width * in.channels;
  const int32_t filter_bytes = params.map_height * row_bytes;
  const int32_t first = params.row * row_bytes + params.column * in.channels;
  // Whole rows without a gap are one.
  const bool is_one_run = in.width == params.map_width && in.row_bytes == row_bytes;
  const int32_t num_runs = is_one_run ? 1 : in.height;
  const int32_t count = in.width * in.channels * (is_one_run ? in.height : 1);
  for (int32_t o = 0; o < params.num_outputs;) {
    const bool is_block = params.num_outputs - o >= kMaxOutputs;
    const uint8_t* taps = filter + o * filter_bytes + first;
    for (int32_t y = 0; y < num_runs; ++y, taps += row_bytes) {
      (is_block ? AddRun<kMaxOutputs> : AddRun<1>)(pixels + y * in.row_bytes, in.zero_point, count,
                                                   taps, filter_bytes, sums + o);
    }
    o += is_block ? kMaxOutputs : 1;
  }
}

}  // namespace dsp
}  // namespace quantmcu
