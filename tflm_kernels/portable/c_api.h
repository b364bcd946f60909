// portable/c_api.h - the kernels as plain C functions in libquantmcu_kernels.so, for tests and
// tools in other languages.
//
// The parameters of an op are a flat int32 array; its words stand in this order:
//   MAP     height, width, channels, row_bytes, bits, zero_point
//           (row_bytes: from row to row; at least width * run_bytes(channels, bits))
//   WINDOW  kernel_height, kernel_width, stride_height, stride_width,
//           dilation_height, dilation_width, pad_top, pad_left
//   CLAMP   clamp_min, clamp_max
//   FACTOR  multiplier, shift
// Feature maps and filters are packed bytes (docs/format.md F2), computed as docs/arithmetic.md has
// it. `table` is bias[O], multiplier[O], shift[O] (F3).
// The op functions check nothing: words, buffers and ranges must be valid (limits.h), as the TFLM
// ops and ReadPatchStageProgram see to it. Nothing is kept between calls; calls from several
// threads do not disturb each other.
#ifndef TFLM_KERNELS_PORTABLE_C_API_H_
#define TFLM_KERNELS_PORTABLE_C_API_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// y[i] = multiply(x[i], multiplier, shift) (A1), i < count.
void QuantMcuMultiply(const int32_t* x, int32_t count, int32_t multiplier, int32_t shift,
                      int32_t* y);

// One run of `count` values (F2), unpacked and packed.
void QuantMcuLoadValues(const uint8_t* run, int32_t count, int32_t bits, int32_t* values);
void QuantMcuStoreValues(const int32_t* values, int32_t count, int32_t bits, uint8_t* run);

// params[23]: input MAP, output MAP, WINDOW, CLAMP, weight_bits.
void QuantMcuConv2D(const int32_t* params, const uint8_t* input, const uint8_t* filter,
                    const int32_t* table, uint8_t* output);

// params[24]: input MAP, output MAP, WINDOW, CLAMP, weight_bits, depth_multiplier.
void QuantMcuDepthwiseConv2D(const int32_t* params, const uint8_t* input, const uint8_t* filter,
                             const int32_t* table, uint8_t* output);

// params[15]: input MAP, output MAP, CLAMP, weight_bits. Maps have one pixel.
void QuantMcuFullyConnected(const int32_t* params, const uint8_t* input, const uint8_t* filter,
                            const int32_t* table, uint8_t* output);

// params[26]: input0 MAP, input1 MAP, output MAP, CLAMP,
//             input0 FACTOR, input1 FACTOR, output FACTOR.
void QuantMcuAdd(const int32_t* params, const uint8_t* input0, const uint8_t* input1,
                 uint8_t* output);

// params[24]: input MAP, output MAP, WINDOW, CLAMP, FACTOR.
void QuantMcuAveragePool2D(const int32_t* params, const uint8_t* input, uint8_t* output);
void QuantMcuMaxPool2D(const int32_t* params, const uint8_t* input, uint8_t* output);

// params[18]: input MAP, output MAP, pad_top, pad_left, CLAMP, FACTOR.
void QuantMcuRequantize(const int32_t* params, const uint8_t* input, uint8_t* output);

// params[14]: input MAP, output MAP, pad_top, pad_left; table: int8 [2^input bits].
void QuantMcuLut(const int32_t* params, const uint8_t* input, const uint8_t* table,
                 uint8_t* output);

// A refusal reads "<item> <index>: <message> (found <found>)". The strings are static.
typedef struct QuantMcuStageError {
  const char* item;
  int32_t index;
  const char* message;
  int32_t found;
} QuantMcuStageError;

// Checks a patch stage's program (F4); header[10]: tile_height, tile_width, num_ops, num_maps,
// num_classes, cache_mode (0 recompute, 1 rows, 2 full, 3 ahead), primed, outlier_low, outlier_high, outlier_share.
// Returns 1 and the bytes of scratch that the stage needs, or 0 and fills `error`.
int32_t QuantMcuPatchStageRead(const int32_t* header, const int32_t* program, int32_t num_words,
                               const uint8_t* filters, int32_t num_filter_bytes,
                               int32_t* scratch_bytes, QuantMcuStageError* error);

// Checks as above, then runs the stage from x to y; a stage whose input is streamed reads regions of
// x. `others`: the addresses of its further inputs. Returns 1; or 0, fills `error` and writes nothing
// else.
int32_t QuantMcuPatchStageRun(const int32_t* header, const int32_t* program, int32_t num_words,
                              const uint8_t* filters, int32_t num_filter_bytes, const uint8_t* x,
                              const uint8_t* const* others, uint8_t* scratch, uint8_t* y,
                              QuantMcuStageError* error);

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // TFLM_KERNELS_PORTABLE_C_API_H_
