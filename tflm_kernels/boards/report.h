// boards/report.h - results as lines KEY=VALUE, which tools/qemu_run.py reads.
#ifndef TFLM_KERNELS_BOARDS_REPORT_H_
#define TFLM_KERNELS_BOARDS_REPORT_H_

#include <stdint.h>

namespace quantmcu {

// KEY=123
void ReportCount(const char* key, uint64_t value);

// KEY=0x0000007b
void ReportHex(const char* key, uint32_t value);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_BOARDS_REPORT_H_
