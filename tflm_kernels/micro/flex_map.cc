#include "tflm_kernels/micro/flex_map.h"

namespace quantmcu {
namespace {

// The format's numbers of the types that matter here; a type byte is type << 2 | log2(width).
enum FlexType {
  kTypeInt = 1,
  kTypeUnsigned = 2,
  kTypeString = 5,
  kTypeIndirectInt = 6,
  kTypeIndirectUnsigned = 7,
  kTypeMap = 9,
};

size_t WidthOf(uint8_t type_byte) { return size_t{1} << (type_byte & 3); }

bool IsWidth(uint64_t width) { return width == 1 || width == 2 || width == 4 || width == 8; }

constexpr FlexValue kOtherValue = {FlexValue::kOther, 0, nullptr};

}  // namespace

FlexMap::FlexMap(const uint8_t* buffer, size_t length)
    : buffer_(buffer), length_(length), is_valid_(FindRoot()) {
  if (!is_valid_) size_ = 0;
}

FlexValue FlexMap::Find(const char* key) const {
  for (size_t i = 0; i < size_; ++i) {
    if (IsKey(i, key)) return ValueAt(i);
  }
  return {FlexValue::kMissing, 0, nullptr};
}

bool FlexMap::ReadUnsigned(size_t position, size_t width, uint64_t* value) const {
  if (position > length_ || width > length_ - position) return false;
  *value = 0;
  for (size_t i = 0; i < width; ++i) *value |= uint64_t{buffer_[position + i]} << (8 * i);
  return true;
}

// Offsets count backwards from where they stand.
bool FlexMap::FollowOffset(size_t position, size_t width, size_t* target) const {
  uint64_t offset;
  if (!ReadUnsigned(position, width, &offset) || offset > position) return false;
  *target = position - static_cast<size_t>(offset);
  return true;
}

// A buffer ends with the root value, its type byte and its width. Before a map's values stand the
// offset of its keys, their width and the number of values; behind them a type byte each. Before
// the keys stands their number.
bool FlexMap::FindRoot() {
  if (buffer_ == nullptr || length_ < 3) return false;
  const size_t root_width = buffer_[length_ - 1];
  const uint8_t root_type = buffer_[length_ - 2];
  if (!IsWidth(root_width) || root_width > length_ - 2 || root_type >> 2 != kTypeMap) return false;
  width_ = WidthOf(root_type);
  uint64_t size;
  uint64_t keys_width;
  uint64_t num_keys;
  if (!FollowOffset(length_ - 2 - root_width, root_width, &values_) || values_ < 3 * width_ ||
      !ReadUnsigned(values_ - width_, width_, &size) ||
      !ReadUnsigned(values_ - 2 * width_, width_, &keys_width) || !IsWidth(keys_width) ||
      !FollowOffset(values_ - 3 * width_, width_, &keys_) || keys_ < keys_width) {
    return false;
  }
  keys_width_ = static_cast<size_t>(keys_width);
  if (!ReadUnsigned(keys_ - keys_width_, keys_width_, &num_keys) || num_keys != size) return false;
  size_ = static_cast<size_t>(size);
  return size <= length_ && size_ * (width_ + 1) <= length_ - values_;
}

bool FlexMap::IsKey(size_t index, const char* key) const {
  size_t position;
  if (!FollowOffset(keys_ + index * keys_width_, keys_width_, &position)) return false;
  for (; position < length_ && buffer_[position] == static_cast<uint8_t>(*key); ++position, ++key) {
    if (*key == '\0') return true;
  }
  return false;
}

FlexValue FlexMap::ValueAt(size_t index) const {
  const uint8_t type_byte = buffer_[values_ + size_ * width_ + index];
  const size_t width = WidthOf(type_byte);
  const size_t position = values_ + index * width_;
  const int type = type_byte >> 2;
  if (type == kTypeInt || type == kTypeUnsigned) return Integer(position, width_, type == kTypeInt);
  size_t target;
  if (!FollowOffset(position, width_, &target)) return kOtherValue;
  if (type == kTypeString) return String(target, width);
  if (type == kTypeIndirectInt || type == kTypeIndirectUnsigned) {
    return Integer(target, width, type == kTypeIndirectInt);
  }
  return kOtherValue;
}

FlexValue FlexMap::Integer(size_t position, size_t width, bool is_signed) const {
  uint64_t bits;
  if (!ReadUnsigned(position, width, &bits)) return kOtherValue;
  if (is_signed) {
    const size_t unused_bits = 64 - 8 * width;
    return {FlexValue::kInteger, static_cast<int64_t>(bits << unused_bits) >> unused_bits, nullptr};
  }
  const uint64_t largest = INT64_MAX;
  return {FlexValue::kInteger, static_cast<int64_t>(bits < largest ? bits : largest), nullptr};
}

// The length stands before the text, a 0 behind it.
FlexValue FlexMap::String(size_t position, size_t width) const {
  uint64_t text_length;
  if (position < width || !ReadUnsigned(position - width, width, &text_length) ||
      text_length >= length_ - position || buffer_[position + text_length] != 0) {
    return kOtherValue;
  }
  return {FlexValue::kString, 0, reinterpret_cast<const char*>(buffer_ + position)};
}

}  // namespace quantmcu
