// boards/host.cc - the host as a board: for comparing outputs, not instructions.
#include <stdio.h>
#include <stdlib.h>

#include "tflm_kernels/boards/board.h"

namespace quantmcu {

void BoardWrite(const char* text) { fputs(text, stdout); }

void BoardExit(int code) { exit(code); }

uint64_t BoardInstructionCount() { return 0; }

}  // namespace quantmcu
