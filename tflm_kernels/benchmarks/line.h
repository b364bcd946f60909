// A line of text that is put together piece by piece, without libc.
#ifndef TFLM_KERNELS_BENCHMARKS_LINE_H_
#define TFLM_KERNELS_BENCHMARKS_LINE_H_

#include <stdint.h>

#include "tflm_kernels/boards/board.h"

namespace quantmcu {

class Line {
 public:
  Line& Text(const char* text) {
    while (*text != '\0') *end_++ = *text++;
    return *this;
  }

  Line& Number(uint64_t value) {
    if (value >= 10) Number(value / 10);
    *end_++ = static_cast<char>('0' + value % 10);
    return *this;
  }

  Line& Numbers(const int32_t* values, int32_t count) {
    for (int32_t i = 0; i < count; ++i) Text(i == 0 ? "," : "x").Number(values[i]);
    return *this;
  }

  void Write() {
    Text("\n");
    *end_ = '\0';
    BoardWrite(text_);
  }

 private:
  char text_[256];
  char* end_ = text_;
};

}  // namespace quantmcu

#endif  // TFLM_KERNELS_BENCHMARKS_LINE_H_
