// boards/measure.h - how many instructions a piece of code executes.
#ifndef TFLM_KERNELS_BOARDS_MEASURE_H_
#define TFLM_KERNELS_BOARDS_MEASURE_H_

#include <stdint.h>

namespace quantmcu {

// Instructions that work(argument) executes beyond those of an empty function: a function that loops
// n times over two instructions after one that sets it up reads 2n + 1. 0 on the host.
uint64_t MeasureInstructions(void (*work)(const void* argument), const void* argument);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_BOARDS_MEASURE_H_
