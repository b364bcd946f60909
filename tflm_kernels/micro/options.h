// micro/options.h - reads an op's custom_options (docs/format.md F3) by key, with every check.
//
// The first failure is reported once, with the op and the key; after it all reads return in-range
// values, so that an Init needs one test at its end.
#ifndef TFLM_KERNELS_MICRO_OPTIONS_H_
#define TFLM_KERNELS_MICRO_OPTIONS_H_

#include <stddef.h>
#include <stdint.h>

#include "tflm_kernels/micro/flex_map.h"
#include "tflm_kernels/micro/op_data.h"
#include "tflm_kernels/micro/tflm.h"
#include "tflm_kernels/portable/law/fixed_point.h"

namespace quantmcu {

class OptionReader {
 public:
  // Checks that the bytes are a map of a version that we know. `op` is the custom code; it and the buffer must
  // outlive the reader.
  OptionReader(TfLiteContext* context, const char* op, const char* buffer, size_t length);

  // The integer under `key`; min after a failure.
  int32_t Int(const char* key, int32_t min, int32_t max);

  // The same of a key that may be left out, and that version 2 does not have.
  int32_t OptionalInt(const char* key, int32_t min, int32_t max, int32_t default_value);

  // Passes over a key that may be left out, whatever its value: it is for people.
  void Remark(const char* key);

  // 8, 4 or 2; 8 after a failure.
  int32_t Bits(const char* key);

  // The place of the string under `key` among the `count` supported ones; 0 after a failure.
  int32_t Choice(const char* key, const char* const* supported, int32_t count);

  // Refuses two values that must agree.
  void ExpectEqual(const char* key, int32_t value, const char* other_key, int64_t other_value);

  // Refuses keys that nobody has read. True if nothing failed.
  bool Finish();

 private:
  // The value under `key`; reports one of another kind.
  FlexValue Find(const char* key, FlexValue::Kind kind);
  void Fail(const char* key, const char* problem);

  TfLiteContext* context_;
  const char* op_;
  FlexMap map_;
  int32_t version_ = 0;
  size_t num_keys_read_ = 0;
  bool is_ok_ = true;
};

// One reader for each group of keys that several ops share (docs/format.md F3). Those of the ends
// return their channels.
int32_t ReadChannels(OptionReader* options, const char* key);
int32_t ReadInput(OptionReader* options, NarrowFormat* input);
int32_t ReadOutput(OptionReader* options, NarrowFormat* output, NarrowClamp* clamp);
// Both, of an op that keeps the channels.
int32_t ReadEnds(OptionReader* options, NarrowFormat* input, NarrowFormat* output,
                 NarrowClamp* clamp);
NarrowFormat ReadFormat(OptionReader* options, const char* bits_key, const char* zero_point_key);
// An extent, stride, dilation or pad: `min` to kMaxExtent.
int16_t ReadExtent(OptionReader* options, const char* key, int32_t min);
void ReadPads(OptionReader* options, int16_t* pad_top, int16_t* pad_left);
NarrowWindow ReadPoolWindow(OptionReader* options);
NarrowWindow ReadWindow(OptionReader* options);
void ReadFixedPoint(OptionReader* options, const char* multiplier_key, const char* shift_key,
                    int32_t* multiplier, int8_t* shift);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_OPTIONS_H_
