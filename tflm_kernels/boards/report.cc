#include "tflm_kernels/boards/report.h"

#include "tflm_kernels/boards/board.h"

namespace quantmcu {
namespace {

void ReportLine(const char* key, const char* value) {
  BoardWrite(key);
  BoardWrite("=");
  BoardWrite(value);
  BoardWrite("\n");
}

}  // namespace

void ReportCount(const char* key, uint64_t value) {
  char digits[21];
  char* first = digits + sizeof(digits) - 1;
  *first = '\0';
  do {
    *--first = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  ReportLine(key, first);
}

void ReportHex(const char* key, uint32_t value) {
  char digits[11] = "0x";
  for (int i = 0; i < 8; ++i) digits[2 + i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
  digits[10] = '\0';
  ReportLine(key, digits);
}

}  // namespace quantmcu
