// micro/python/handshake.h - an op that uses all that our ops use of TFLM's structs and functions.
//
// QMCU_HANDSHAKE: input int8 [1, N], table int32 [K] -> output int8 [1, N], with
// output[i] = input[N - 1 - i] + table[i % K] modulo 256; its options are the bytes "QMCU". It reports one sentence
// when it is prepared. No model but the one that tries an interpreter has it.
#ifndef TFLM_KERNELS_MICRO_PYTHON_HANDSHAKE_H_
#define TFLM_KERNELS_MICRO_PYTHON_HANDSHAKE_H_

#include "tflm_kernels/micro/tflm.h"

namespace quantmcu {

const TFLMRegistration* Register_QMCU_HANDSHAKE();

}  // namespace quantmcu

#endif  // TFLM_KERNELS_MICRO_PYTHON_HANDSHAKE_H_
