// benchmarks/stock_operands.h - seeded values that stock_benchmark.cc calls kernels on, and the calls by a kernel's type.
#ifndef TFLM_KERNELS_BENCHMARKS_STOCK_OPERANDS_H_
#define TFLM_KERNELS_BENCHMARKS_STOCK_OPERANDS_H_

#include <stdint.h>

#include "tflm_kernels/boards/board.h"
#include "tflm_kernels/portable/law/channel_table.h"

namespace quantmcu {
namespace {

constexpr int32_t kMapBytes = 1 << 17;
BOARD_ARENA uint8_t g_input0[kMapBytes];
BOARD_ARENA uint8_t g_input1[kMapBytes];
BOARD_ARENA uint8_t g_output[kMapBytes];
constexpr int32_t kNumReals = kMapBytes / 4;
BOARD_ARENA float g_reals[kNumReals];
const float* const g_positive = g_reals + kNumReals / 2;  // roots take these

constexpr int32_t kMaxChannels = 128;
int32_t g_table[3 * kMaxChannels];  // biases, multipliers, shifts

constexpr int32_t kStateBytes = 1 << 13;
alignas(4) uint8_t g_state[kStateBytes];
uint16_t g_sigmoid[256];

template <typename Params>
const Params& ParamsOf(const int32_t* call) {
  static_assert(sizeof(Params) % 4 == 0, "params are words");
  return *reinterpret_cast<const Params*>(call + 2);
}

// What a kernel takes behind its params, by its type.
template <typename Params>
void Call(void (*kernel)(const Params&, uint8_t*), const int32_t* call) {
  kernel(ParamsOf<Params>(call), g_output);
}

template <typename Params>
void Call(void (*kernel)(const Params&, const uint8_t*, uint8_t*), const int32_t* call) {
  kernel(ParamsOf<Params>(call), g_input0, g_output);
}

template <typename Params>
void Call(void (*kernel)(const Params&, const uint8_t*, const uint8_t*, uint8_t*),
          const int32_t* call) {
  kernel(ParamsOf<Params>(call), g_input0, g_input1, g_output);
}

template <typename Params>
void Call(void (*kernel)(const Params&, const float*, uint8_t*), const int32_t* call) {
  kernel(ParamsOf<Params>(call), g_reals, g_output);
}

template <typename Params>
void Call(void (*kernel)(const Params&, const uint8_t*, float*), const int32_t* call) {
  kernel(ParamsOf<Params>(call), g_input0, reinterpret_cast<float*>(g_output));
}

template <typename Params>
void Call(void (*kernel)(const Params&, const float*, float*), const int32_t* call) {
  kernel(ParamsOf<Params>(call), g_positive, reinterpret_cast<float*>(g_output));
}

template <typename Params>
void Call(void (*kernel)(const Params&, const float*, const float*, float*), const int32_t* call) {
  kernel(ParamsOf<Params>(call), g_reals, g_reals + 1, reinterpret_cast<float*>(g_output));
}

template <typename Params>
void Call(void (*kernel)(const Params&, const float*, const float*, uint8_t*),
          const int32_t* call) {
  kernel(ParamsOf<Params>(call), g_reals, g_reals + 1, g_output);
}

template <typename Params>
void Call(void (*kernel)(const Params&, const uint8_t*, const uint8_t*, const ChannelTable&,
                         uint8_t*),
          const int32_t* call) {
  const ChannelTable table = ChannelTableOf(g_table, kMaxChannels);
  kernel(ParamsOf<Params>(call), g_input0, g_input1, table, g_output);
}

template <typename Params>
void Call(void (*kernel)(const Params&, const uint8_t*, const uint8_t*, const int32_t*, uint8_t*),
          const int32_t* call) {
  kernel(ParamsOf<Params>(call), g_input0, g_input1, g_table, g_output);
}

template <typename Params>
void Call(void (*kernel)(const Params&, const uint8_t*, uint8_t*, const uint8_t*, const uint8_t*,
                         const int32_t*, uint8_t*),
          const int32_t* call) {
  kernel(ParamsOf<Params>(call), g_input0, g_state, g_input1, g_input1 + kMapBytes / 2, g_table,
         g_output);
}

template <typename Params>
void Call(void (*kernel)(const Params&, const uint8_t*, uint8_t*, uint8_t*, const uint8_t*,
                         const int32_t*, const uint16_t*, uint8_t*),
          const int32_t* call) {
  kernel(ParamsOf<Params>(call), g_input0, g_state, g_state + kStateBytes / 2, g_input1, g_table,
         g_sigmoid, g_output);
}

}  // namespace
}  // namespace quantmcu

#endif  // TFLM_KERNELS_BENCHMARKS_STOCK_OPERANDS_H_
