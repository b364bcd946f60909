// cortex_m/dsp/row_sums.h - depthwise 3x3 windows of up to four channels, one after the other, over rows of output pixels, whose inputs are widened
// and paired (depthwise_rows.h).
//
// What is gained: the weights of a channel stay in registers over all of its pixels, and a word of two
// neighbouring inputs serves two pixels; two results take 28 instructions and 42 cycles, requantised. It is
// assembly, as a compiler keeps neither the weights in registers nor the accumulators of two pixels.
// Timings  Cortex-M4 Technical Reference Manual (DDI 0439), without what a turn of the loop takes.
// Source   written from docs/arithmetic.md A3.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_ROW_SUMS_H_
#define TFLM_KERNELS_CORTEX_M_DSP_ROW_SUMS_H_

#include <stdint.h>

namespace quantmcu {
namespace dsp {

// What the assembly reads, in its order, of lanes whose weights and biases are neighbours.
struct RowSums {
  // Of the first lane; the assembly moves these on.
  const int32_t* bias;
  const uint32_t* weights;  // of each row of the window w0, w1 and w1, w2, as int16
  int32_t lane_bytes;       // from a row's begin to the lane
  uint8_t* results;         // as int8, 4 bytes apart
  // Of all.
  int32_t shift_bytes;       // from the bias of a lane to its shift
  int32_t multiplier_bytes;  // to its multiplier; of factors that IsSmallFactor
  int32_t lane_step;         // bytes from lane to lane
  int32_t result_bytes;      // of all results of a lane
  uint32_t* const*
      rows;  // words of two neighbouring inputs, of the rows that the first row of windows reads
  const int32_t* bias_end;
  int32_t row_bytes;  // of a row of results
  int32_t zero_point;
  int32_t skipped;  // steps of two pixels in the first turn of four of a row
};

// Windows with a stride of one, until bias_end.
void SumRows(RowSums& rows);

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_ROW_SUMS_H_
