// boards/tflm/debug_log.cc - TFLM's text output on a board, in place of TFLM's own debug_log.cc.
//
// The functions that tensorflow/lite/micro/debug_log.h declares, on which TFLM's library depends.
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "tflm_kernels/boards/board.h"

namespace {

constexpr size_t kMaxChars = 256;  // of one message; the rest is cut off

}  // namespace

extern "C" void DebugLog(const char* format, va_list args) {
  char text[kMaxChars];
  vsnprintf(text, sizeof(text), format, args);
  quantmcu::BoardWrite(text);
}

extern "C" int DebugVsnprintf(char* buffer, size_t buffer_bytes, const char* format, va_list args) {
  return vsnprintf(buffer, buffer_bytes, format, args);
}

// What the C library's printf and abort ask of a system: there is no heap and there are no files.
extern "C" {
void* _sbrk(ptrdiff_t) { return reinterpret_cast<void*>(-1); }
int _close(int) { return -1; }
int _fstat(int, void*) { return -1; }
int _getpid() { return 1; }
int _isatty(int) { return 0; }
int _kill(int, int) { return -1; }
int _lseek(int, int, int) { return -1; }
int _read(int, void*, int) { return -1; }
int _write(int, const void*, int) { return -1; }
[[noreturn]] void _exit(int code) { quantmcu::BoardExit(code); }
}
