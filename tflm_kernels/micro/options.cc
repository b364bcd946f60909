#include "tflm_kernels/micro/options.h"

#include <string.h>

#include "tflm_kernels/micro/context.h"
#include "tflm_kernels/portable/law/limits.h"

namespace quantmcu {
namespace {

// Files of version 2 have no optional keys.
constexpr int32_t kOldestVersion = 2;
constexpr int32_t kVersion = 3;

int Shown(int64_t number) {
  if (number < INT32_MIN) return INT32_MIN;
  return static_cast<int>(number > INT32_MAX ? INT32_MAX : number);
}

}  // namespace

OptionReader::OptionReader(TfLiteContext* context, const char* op, const char* buffer,
                           size_t length)
    : context_(context), op_(op), map_(reinterpret_cast<const uint8_t*>(buffer), length) {
  if (!map_.is_valid()) Fail("custom_options", "is not a FlexBuffer map");
  version_ = Int("version", kOldestVersion, kVersion);
}

int32_t OptionReader::Int(const char* key, int32_t min, int32_t max) {
  const int64_t integer = Find(key, FlexValue::kInteger).integer;
  if (!is_ok_) return min;
  if (min <= integer && integer <= max) return static_cast<int32_t>(integer);
  is_ok_ = false;
  ReportError(context_, "%s: %s is %d; supported is %d to %d", op_, key, Shown(integer),
              static_cast<int>(min), static_cast<int>(max));
  return min;
}

int32_t OptionReader::OptionalInt(const char* key, int32_t min, int32_t max,
                                  int32_t default_value) {
  const bool is_there = version_ == kVersion && map_.Find(key).kind != FlexValue::kMissing;
  return is_there ? Int(key, min, max) : default_value;
}

void OptionReader::Remark(const char* key) {
  if (version_ == kVersion && map_.Find(key).kind != FlexValue::kMissing) ++num_keys_read_;
}

int32_t OptionReader::Bits(const char* key) {
  const int32_t bits = Int(key, INT32_MIN, INT32_MAX);
  if (!is_ok_ || IsBitWidth(bits)) return is_ok_ ? bits : 8;
  is_ok_ = false;
  ReportError(context_, "%s: %s is %d; supported are 8, 4 and 2", op_, key, static_cast<int>(bits));
  return 8;
}

int32_t OptionReader::Choice(const char* key, const char* const* supported, int32_t count) {
  const FlexValue value = Find(key, FlexValue::kString);
  if (!is_ok_) return 0;
  for (int32_t i = 0; i < count; ++i) {
    if (strcmp(value.text, supported[i]) == 0) return i;
  }
  is_ok_ = false;
  ReportError(context_, "%s: %s is \"%s\", which is not supported", op_, key, value.text);
  return 0;
}

void OptionReader::ExpectEqual(const char* key, int32_t value, const char* other_key,
                               int64_t other_value) {
  if (!is_ok_ || value == other_value) return;
  is_ok_ = false;
  ReportError(context_, "%s: %s is %d and %s is %d; they must be equal", op_, key,
              static_cast<int>(value), other_key, Shown(other_value));
}

bool OptionReader::Finish() {
  if (is_ok_ && map_.size() != num_keys_read_) {
    is_ok_ = false;
    ReportError(context_, "%s: custom_options has %d keys; supported are %d", op_,
                static_cast<int>(map_.size()), static_cast<int>(num_keys_read_));
  }
  return is_ok_;
}

FlexValue OptionReader::Find(const char* key, FlexValue::Kind kind) {
  ++num_keys_read_;
  const FlexValue value = map_.Find(key);
  if (value.kind == FlexValue::kMissing) {
    Fail(key, "is missing");
  } else if (value.kind != kind) {
    Fail(key, kind == FlexValue::kInteger ? "is not an integer" : "is not a string");
  }
  return value;
}

void OptionReader::Fail(const char* key, const char* problem) {
  if (is_ok_) ReportError(context_, "%s: %s %s", op_, key, problem);
  is_ok_ = false;
}

int32_t ReadChannels(OptionReader* options, const char* key) {
  return options->Int(key, 1, kMaxChannels);
}

NarrowFormat ReadFormat(OptionReader* options, const char* bits_key, const char* zero_point_key) {
  const int32_t bits = options->Bits(bits_key);
  const int32_t zero_point = options->Int(zero_point_key, QMin(bits), QMax(bits));
  return {static_cast<int8_t>(bits), static_cast<int8_t>(zero_point)};
}

int32_t ReadInput(OptionReader* options, NarrowFormat* input) {
  *input = ReadFormat(options, "input_bits", "input_zero_point");
  return ReadChannels(options, "input_channels");
}

int32_t ReadOutput(OptionReader* options, NarrowFormat* output, NarrowClamp* clamp) {
  *output = ReadFormat(options, "output_bits", "output_zero_point");
  const int32_t min = options->Int("clamp_min", QMin(output->bits), QMax(output->bits));
  const int32_t max = options->Int("clamp_max", min, QMax(output->bits));
  *clamp = {static_cast<int8_t>(min), static_cast<int8_t>(max)};
  return ReadChannels(options, "output_channels");
}

int32_t ReadEnds(OptionReader* options, NarrowFormat* input, NarrowFormat* output,
                 NarrowClamp* clamp) {
  const int32_t channels = ReadInput(options, input);
  options->ExpectEqual("input_channels", channels, "output_channels",
                       ReadOutput(options, output, clamp));
  return channels;
}

int16_t ReadExtent(OptionReader* options, const char* key, int32_t min) {
  return static_cast<int16_t>(options->Int(key, min, kMaxExtent));
}

void ReadPads(OptionReader* options, int16_t* pad_top, int16_t* pad_left) {
  *pad_top = ReadExtent(options, "pad_top", -kMaxExtent);
  *pad_left = ReadExtent(options, "pad_left", -kMaxExtent);
}

NarrowWindow ReadPoolWindow(OptionReader* options) {
  NarrowWindow window;
  window.kernel_height = ReadExtent(options, "kernel_height", 1);
  window.kernel_width = ReadExtent(options, "kernel_width", 1);
  window.stride_height = ReadExtent(options, "stride_height", 1);
  window.stride_width = ReadExtent(options, "stride_width", 1);
  window.dilation_height = 1;
  window.dilation_width = 1;
  ReadPads(options, &window.pad_top, &window.pad_left);
  return window;
}

NarrowWindow ReadWindow(OptionReader* options) {
  NarrowWindow window = ReadPoolWindow(options);
  window.dilation_height = ReadExtent(options, "dilation_height", 1);
  window.dilation_width = ReadExtent(options, "dilation_width", 1);
  return window;
}

void ReadFixedPoint(OptionReader* options, const char* multiplier_key, const char* shift_key,
                    int32_t* multiplier, int8_t* shift) {
  *multiplier = options->Int(multiplier_key, 0, INT32_MAX);
  *shift = static_cast<int8_t>(options->Int(shift_key, kMinShift, kMaxShift));
}

}  // namespace quantmcu
