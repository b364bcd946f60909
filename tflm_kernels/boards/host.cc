// boards/host.cc - the host as a board: for comparing outputs, not instructions.
#include <stdio.h>
#include <stdlib.h>

#if defined(__linux__) || defined(__APPLE__)
#include <sys/mman.h>
#endif

#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/boards/guard.h"

namespace quantmcu {

void BoardWrite(const char* text) { fputs(text, stdout); }

void BoardExit(int code) { exit(code); }

uint64_t BoardInstructionCount() { return 0; }

bool BoardGuard([[maybe_unused]] int number, [[maybe_unused]] const uint8_t* begin) {
#ifdef PROT_NONE
  return mprotect(const_cast<uint8_t*>(begin), kGuardBytes, PROT_NONE) == 0;
#else
  return false;
#endif
}

}  // namespace quantmcu
