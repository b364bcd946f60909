// aot/arena.h - whether Invoke may be given an arena. What an application sets aside by <NAME>_ARENA_BYTES always
// may; memory that a linker script, a heap or another module gives is checked once, before the first Invoke.
#ifndef TFLM_KERNELS_AOT_ARENA_H_
#define TFLM_KERNELS_AOT_ARENA_H_

#include <stdint.h>

#include "tflm_kernels/portable/stage/progress.h"

namespace quantmcu {

// "the arena has 1000 bytes at 0x20000004; it needs 45264 at a multiple of 16"
struct ArenaSentence {
  char text[112];
};

namespace aot {

constexpr uint32_t kArenaAlignment = 16;

inline bool IsAligned(const uint8_t* arena) {
  return reinterpret_cast<uintptr_t>(arena) % kArenaAlignment == 0;
}

inline Status CheckArena(const uint8_t* arena, uint32_t num_bytes, uint32_t needed_bytes) {
  if (num_bytes < needed_bytes) return Status::kArenaTooSmall;
  return IsAligned(arena) ? Status::kOk : Status::kArenaMisaligned;
}

// Writes one character after the other.
class SentenceWriter {
 public:
  explicit SentenceWriter(ArenaSentence* sentence) : next_(sentence->text) {}

  void Text(const char* text) {
    while (*text != '\0') *next_++ = *text++;
    *next_ = '\0';
  }

  void Number(uintptr_t value, uint32_t base) {
    char digits[2 * sizeof(uintptr_t) + 5];  // of the address; a count has 32 bits
    char* first = digits + sizeof(digits) - 1;
    *first = '\0';
    do {
      *--first = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    Text(first);
  }

 private:
  char* next_;
};

inline ArenaSentence DescribeArena(const uint8_t* arena, uint32_t num_bytes,
                                   uint32_t needed_bytes) {
  ArenaSentence sentence;
  SentenceWriter writer(&sentence);
  writer.Text("the arena has ");
  writer.Number(num_bytes, 10);
  writer.Text(" bytes at 0x");
  writer.Number(reinterpret_cast<uintptr_t>(arena), 16);
  writer.Text("; it needs ");
  writer.Number(needed_bytes, 10);
  writer.Text(" at a multiple of 16");
  return sentence;
}

}  // namespace aot
}  // namespace quantmcu

#endif  // TFLM_KERNELS_AOT_ARENA_H_
