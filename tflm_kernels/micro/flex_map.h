// micro/flex_map.h - reads a FlexBuffer map of integers and strings that may come from anywhere:
// every access is checked to lie inside the buffer, and none depends on alignment.
//
// FlatBuffers' own reader is not used: it converts strings and doubles to numbers too, which costs
// a small core several KB of flash.
// Source   written from the description of FlexBuffers at https://flatbuffers.dev/internals.
#ifndef TFLM_KERNELS_MICRO_FLEX_MAP_H_
#define TFLM_KERNELS_MICRO_FLEX_MAP_H_

#include <stddef.h>
#include <stdint.h>

namespace quantmcu {

struct FlexValue {
  enum Kind { kMissing, kInteger, kString, kOther };

  Kind kind;
  int64_t integer;   // of an integer; unsigned ones beyond int64 become its largest
  const char* text;  // of a string; ends with 0
};

class FlexMap {
 public:
  // The buffer must outlive the map.
  FlexMap(const uint8_t* buffer, size_t length);

  // False if the buffer's root is not a map or lies outside it; then the map is empty.
  bool is_valid() const { return is_valid_; }
  size_t size() const { return size_; }
  FlexValue Find(const char* key) const;

 private:
  bool ReadUnsigned(size_t position, size_t width, uint64_t* value) const;
  bool FollowOffset(size_t position, size_t width, size_t* target) const;
  bool FindRoot();
  bool IsKey(size_t index, const char* key) const;
  FlexValue ValueAt(size_t index) const;
  FlexValue Integer(size_t position, size_t width, bool is_signed) const;
  FlexValue String(size_t position, size_t width) const;

  const uint8_t* buffer_;
  size_t length_;
  size_t values_ = 0;  // position of the first value
  size_t width_ = 1;   // bytes of each
  size_t keys_ = 0;
  size_t keys_width_ = 1;
  size_t size_ = 0;
  bool is_valid_;
};

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_FLEX_MAP_H_
