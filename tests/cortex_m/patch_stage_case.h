// A patch stage with every kind of op, two classes and tiles of unequal size.
#ifndef TESTS_CORTEX_M_PATCH_STAGE_CASE_H_
#define TESTS_CORTEX_M_PATCH_STAGE_CASE_H_

#include <stdint.h>

namespace quantmcu {

// Runs it with maps of `activation_bits` in X, in Y and in one class, 8 bits in the other, and
// filters of `weight_bits`. `crc` becomes the CRC-32 of Y and scratch. False, after a line that says
// why, if the program was refused.
bool RunPatchStage(int32_t activation_bits, int32_t weight_bits, uint32_t* crc);

}  // namespace quantmcu

#endif  // TESTS_CORTEX_M_PATCH_STAGE_CASE_H_
