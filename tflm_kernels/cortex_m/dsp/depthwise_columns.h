// cortex_m/dsp/depthwise_columns.h - depthwise convolution where activations and weights have 4 or 2 bits
// and windows are three columns wide and at most three rows high: a word holds the sums of three
// neighbouring output pixels, so that one SMLAW multiplies an activation with three weights.
//
// Sums     sum0 + sum1 * 2^11 + sum2 * 2^22. A column of the input is the last one of the window whose
//          sum is on top, the middle one of the next window and the first one of the one after that.
//          Then the top sum is complete, and the word moves up by 11 bits.
// Range    a column adds to each sum three products, -56 <= x * w <= 64, and kOffset, so that none is
//          negative. The top one has 10 bits: it is exact where sum(|w|) * 2^(a_bits-1) <= 504, which
//          SetTaps checks; 9 weights of 4 bits whose mean is above 7 miss it.
// Operands activations are the upper bits of a halfword, with sign as they are stored, and weights are
//          shifted left by their width: SMLAW drops the 16 zeros that the product ends with.
// Source   written from docs/arithmetic.md A3; several sums in one word as in HiKonv (arXiv 2208.00763).
#ifndef TFLM_KERNELS_CORTEX_M_DSP_DEPTHWISE_COLUMNS_H_
#define TFLM_KERNELS_CORTEX_M_DSP_DEPTHWISE_COLUMNS_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/depthwise_block.h"
#include "tflm_kernels/cortex_m/dsp/simd.h"

namespace quantmcu {
namespace dsp {

constexpr int32_t kSumColumns = 3;
constexpr int32_t kSumRows = 3;

// The rows of a window that lie inside the map, filled up with rows of weight 0; in the order in which
// the words are read.
struct SumTaps {
  uint32_t rows[kSumRows - 1];  // bytes from the first row to the others
  int32_t column_bytes;
  uint32_t offsets;                     // kOffset of each sum
  uint32_t weights[kSumRows * kLanes];  // rows 0 and 1 of each lane; row 2 of lanes 0, 2, 1, 3
  FourSums bias;                        // less what the zero point and kOffset make of the top sum
};

template <int kABits>
class DepthwiseColumns {
 public:
  // The rows [first_row, last_row) of the window, at least one; `row_bytes` and `column_bytes` between
  // neighbouring taps. False if sums may not fit.
  [[gnu::noinline]] static bool SetTaps(const Depthwise& conv, const Block& block,
                                        int32_t first_row, int32_t last_row, int32_t row_bytes,
                                        int32_t column_bytes, SumTaps* taps) {
    uint32_t* const weights = taps->weights;
    memset(weights, 0, sizeof(taps->weights));
    memset(taps->rows, 0, sizeof(taps->rows));
    taps->column_bytes = column_bytes;
    taps->offsets = kOffsets;
    uint32_t magnitudes = 0;  // of the four lanes
    uint32_t even_sums = 0;   // of lanes 0 and 2
    uint32_t odd_sums = 0;
    for (int32_t row = 0; row < last_row - first_row; ++row) {
      uint32_t even[kSumColumns];
      uint32_t odd[kSumColumns];
      for (int32_t column = 0; column < kSumColumns; ++column) {
        const uint32_t w = block.Weights((first_row + row) * kSumColumns + column);
        even[column] = Sxtb16(w);
        odd[column] = Sxtb16Ror8(w);
        even_sums = Sxtab16(even_sums, w);
        odd_sums = Sxtab16Ror8(odd_sums, w);
        magnitudes = __uadd8(magnitudes, LargerBytes(w, Ssub8(0, w)));
      }
      // Rows 0 and 1 take turns, row 2 has lanes 0 and 2 and then 1 and 3.
      const bool is_last = row == 2;
      if (row > 0) taps->rows[row - 1] = static_cast<uint32_t>(row * row_bytes);
      uint32_t* const word = weights + (is_last ? 8 : row);
      word[0] = Packed<0>(even);
      word[2] = Packed<0>(odd);
      word[is_last ? 1 : 4] = Packed<1>(even);
      word[is_last ? 3 : 6] = Packed<1>(odd);
    }
    // Where activations have 2 bits all sums fit.
    if (kABits == 4 && (magnitudes & kTooLarge) != 0) return false;
    const uint32_t minus_zero = static_cast<uint32_t>(-conv.params.input.zero_point);
    const FourSums bias = block.Bias(conv);
    taps->bias = {Smlabb(even_sums, minus_zero, WrappingAdd(bias.s0, -kTopOffset)),
                  Smlabb(odd_sums, minus_zero, WrappingAdd(bias.s1, -kTopOffset)),
                  Smlatb(even_sums, minus_zero, WrappingAdd(bias.s2, -kTopOffset)),
                  Smlatb(odd_sums, minus_zero, WrappingAdd(bias.s3, -kTopOffset))};
    return true;
  }

  // pixels.step is that from a column of the window to the next.
  [[gnu::noinline]] static void Output(const BlockStore& store, const SumTaps& taps,
                                       const Pixels& pixels) {
    const uint32_t high_fields = InRegister(0x00010001u * ((0xFFFFu << (16 - kABits)) & 0xFFFFu));
    const int32_t output_step = pixels.output_step;
    for (int32_t y = 0; y < pixels.height; ++y) {
      uint32_t column = AddressAt(pixels.first, y * pixels.row_step);
      uint8_t* output = pixels.output + y * pixels.output_row_step;
      FourSums sums = {0, 0, 0, 0};
      for (int32_t n = kSumColumns - 1; n > 0; --n) AddColumn(taps, high_fields, column, sums);
      for (int32_t n = pixels.width; n > 0; --n, output += output_step) {
        const uint32_t* words = AddColumn(taps, high_fields, column, sums);
        const FourSums bias = LoadSums(words);
        store.Put<false>({Top(sums.s0, bias.s0), Top(sums.s1, bias.s1), Top(sums.s2, bias.s2),
                          Top(sums.s3, bias.s3)},
                         output);
      }
    }
  }

 private:
  static constexpr int kSumBits = 11;
  static constexpr int32_t kOffset = kSumRows * 56;
  static constexpr int32_t kTopOffset = kSumColumns * kOffset;
  static constexpr uint32_t kTooLarge = 0x40404040u;  // kTopOffset / 8 is 63, nine times 8 is 72
  static constexpr uint32_t kOffsets = kOffset | kOffset << kSumBits | kOffset << (2 * kSumBits);

  // The weights of the half kHalf of each column side by side.
  template <int kHalf>
  static uint32_t Packed(const uint32_t* columns) {
    uint32_t packed = 0;
    for (int32_t column = kSumColumns; column-- > 0;) {
      const int32_t weight = static_cast<int16_t>(columns[column] >> (16 * kHalf));
      packed = (packed << kSumBits) + static_cast<uint32_t>(weight);
    }
    return packed << kABits;
  }

  // bias + the top sum.
  static int32_t Top(int32_t sums, int32_t bias) {
    return WrappingAdd(bias, static_cast<int32_t>(static_cast<uint32_t>(sums) >> (2 * kSumBits)));
  }

  static uint32_t LoadFields(uint32_t address) {
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(address);
    return kABits == 4 ? LoadHalf(bytes) : *bytes;
  }

  // The field kField of each half of `fields` as its upper bits.
  template <int kField>
  static int32_t Upper(uint32_t fields, uint32_t high_fields) {
    return static_cast<int32_t>((fields << (16 - kABits * (kField + 1))) & high_fields);
  }

  // Adds a column and steps to the next one; returns where the bias stands.
  [[gnu::always_inline]] static const uint32_t* AddColumn(const SumTaps& taps, uint32_t high_fields,
                                                          uint32_t& column, FourSums& sums) {
    const uint32_t* words = taps.rows;
    uint32_t row1, row2, column_bytes, offsets;
    LoadTwo(words, &row1, &row2);
    const uint32_t rows01 = LoadFields(column) | LoadFields(column + row1) << 16;
    const uint32_t fields2 = LoadFields(column + row2);
    const uint32_t lanes02 = fields2 | fields2 << (16 - 2 * kABits);
    LoadTwo(words, &column_bytes, &offsets);
    column += column_bytes;
    MoveUp(offsets, sums.s0);
    MoveUp(offsets, sums.s1);
    MoveUp(offsets, sums.s2);
    MoveUp(offsets, sums.s3);
    AddTwo(Upper<0>(rows01, high_fields), words, sums.s0, sums.s0);
    AddTwo(Upper<1>(rows01, high_fields), words, sums.s1, sums.s1);
    AddTwo(Upper<2>(rows01, high_fields), words, sums.s2, sums.s2);
    AddTwo(Upper<3>(rows01, high_fields), words, sums.s3, sums.s3);
    AddTwo(Upper<0>(lanes02, high_fields), words, sums.s0, sums.s2);
    AddTwo(Upper<1>(lanes02, high_fields), words, sums.s1, sums.s3);
    return words;
  }

  static void MoveUp(uint32_t offsets, int32_t& sums) {
    sums = static_cast<int32_t>(offsets + (static_cast<uint32_t>(sums) << kSumBits));
  }

  // The low half of x times the next word, and the high half times the one after it.
  [[gnu::always_inline]] static void AddTwo(int32_t x, const uint32_t*& words, int32_t& low,
                                            int32_t& high) {
    uint32_t w0, w1;
    LoadTwo(words, &w0, &w1);
    low = Smlawb(w0, x, low);
    high = Smlawt(w1, x, high);
  }
};

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_DEPTHWISE_COLUMNS_H_
