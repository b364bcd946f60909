#include "tflm_kernels/cortex_m/mve/dot_quad.h"

namespace quantmcu {
namespace mve {

static_assert(sizeof(QuadRows) == 32, "the assembly knows it: rows, and biases from byte 16 on");

// clang-format off

#define QMCU_PAIR_STEP(windows) \
  windows                    \
  "vldrb.8 q2, [r1], #16\n"  \
  "vmladava.s8 r0, q0, q2\n" \
  "vmladava.s8 r8, q1, q2\n" \
  "vldrb.8 q3, [r3], #16\n"  \
  "vmladava.s8 r2, q0, q3\n" \
  "vmladava.s8 r10, q1, q3\n" \
  "vldrb.8 q2, [r5], #16\n"  \
  "vmladava.s8 r4, q0, q2\n" \
  "vmladava.s8 r12, q1, q2\n" \
  "vldrb.8 q3, [r9], #16\n"  \
  "vmladava.s8 r6, q0, q3\n" \
  "vmladava.s8 lr, q1, q3\n"

// r0, r2, r4, r6: sums of the first window; r8, r10, r12, lr: of the second; r1, r3, r5, r9: rows; r11: windows;
// r7: steps left, then pairs of steps.
#define QMCU_PAIR(windows, last_windows) \
  "push {r4-r11, lr}\n"            \
  "vctp.8 r1\n"                    \
  "mov r11, r2\n"                  \
  "mov r7, r3\n"                   \
  "ldrd r8, r10, [r0, #16]\n"      \
  "ldrd r12, lr, [r0, #24]\n"      \
  "ldrd r4, r6, [r0, #24]\n"       \
  "ldm r0, {r1, r3, r5, r9}\n"     \
  "ldrd r0, r2, [r0, #16]\n"       \
  "lsrs r7, r7, #1\n"              \
  "bcc 3f\n"                       \
  QMCU_PAIR_STEP(windows)          \
  "3:\n"                           \
  "beq 2f\n"                       \
  "1:\n"                           \
  QMCU_PAIR_STEP(windows)          \
  QMCU_PAIR_STEP(windows)          \
  "subs r7, #1\n"                  \
  "bne 1b\n"                       \
  "2:\n"                           \
  last_windows                     \
  "vpstt\n"                        \
  "vldrbt.8 q2, [r1]\n"            \
  "vldrbt.8 q3, [r3]\n"            \
  "vmladava.s8 r0, q0, q2\n"       \
  "vmladava.s8 r8, q1, q2\n"       \
  "vmladava.s8 r2, q0, q3\n"       \
  "vmladava.s8 r10, q1, q3\n"      \
  "vpstt\n"                        \
  "vldrbt.8 q2, [r5]\n"            \
  "vldrbt.8 q3, [r9]\n"            \
  "vmladava.s8 r4, q0, q2\n"       \
  "vmladava.s8 r12, q1, q2\n"      \
  "vmladava.s8 r6, q0, q3\n"       \
  "vmladava.s8 lr, q1, q3\n"       \
  "vmov q0[2], q0[0], r0, r4\n"    \
  "vmov q0[3], q0[1], r2, r6\n"    \
  "vmov q1[2], q1[0], r8, r12\n"   \
  "vmov q1[3], q1[1], r10, lr\n"   \
  "pop {r4-r11, pc}\n"

[[gnu::naked]] QMCU_DOT_CALL PairSums DotPair8(const QuadRows*, int32_t, const int8_t*, int32_t) {
  asm volatile(QMCU_PAIR("vldrb.8 q0, [r11], #16\nvldrb.8 q1, [r11], #16\n",
                         "vldrb.8 q0, [r11]\nvldrb.8 q1, [r11, #16]\n"));
}

[[gnu::naked]] QMCU_DOT_CALL PairSums DotWithZeros8(const QuadRows*, int32_t, const int8_t*,
                                                    int32_t, int8x16_t) {
  asm volatile("vmov q1, q0\n" QMCU_PAIR("vldrb.8 q0, [r11], #16\n", "vldrb.8 q0, [r11]\n"));
}

// r0, r2, r4, r6: sums; r1, r3, r5, r7: rows; r12: window; lr: steps left.
#define QMCU_ONE(begin, window, last_window) \
  "push {r4-r7, lr}\n"            \
  "vctp.8 r1\n"                   \
  begin                           \
  "wls lr, lr, 2f\n"              \
  "1:\n"                          \
  window                          \
  "vldrb.8 q2, [r1], #16\n"       \
  "vmladava.s8 r0, q0, q2\n"      \
  "vldrb.8 q3, [r3], #16\n"       \
  "vmladava.s8 r2, q0, q3\n"      \
  "vldrb.8 q2, [r5], #16\n"       \
  "vmladava.s8 r4, q0, q2\n"      \
  "vldrb.8 q3, [r7], #16\n"       \
  "vmladava.s8 r6, q0, q3\n"      \
  "le lr, 1b\n"                   \
  "2:\n"                          \
  last_window                     \
  "vpstttt\n"                     \
  "vldrbt.8 q2, [r1]\n"           \
  "vmladavat.s8 r0, q0, q2\n"     \
  "vldrbt.8 q3, [r3]\n"           \
  "vmladavat.s8 r2, q0, q3\n"     \
  "vpstttt\n"                     \
  "vldrbt.8 q2, [r5]\n"           \
  "vmladavat.s8 r4, q0, q2\n"     \
  "vldrbt.8 q3, [r7]\n"           \
  "vmladavat.s8 r6, q0, q3\n"     \
  "vmov q0[2], q0[0], r0, r4\n"   \
  "vmov q0[3], q0[1], r2, r6\n"   \
  "pop {r4-r7, pc}\n"

[[gnu::naked]] QMCU_DOT_CALL int32x4_t DotOne8(const QuadRows*, int32_t, const int8_t*, int32_t) {
  asm volatile(QMCU_ONE("mov r12, r2\nmov lr, r3\n"
                        "ldrd r4, r6, [r0, #24]\nldm r0, {r1, r3, r5, r7}\nldrd r0, r2, [r0, #16]\n",
                        "vldrb.8 q0, [r12], #16\n", "vldrb.8 q0, [r12]\n"));
}

[[gnu::naked]] QMCU_DOT_CALL int32x4_t DotZeros8(const QuadRows*, int32_t, int32_t, int8x16_t) {
  asm volatile(QMCU_ONE("mov lr, r2\nldm r0, {r1, r3, r5, r7}\n"
                        "movs r0, #0\nmovs r2, #0\nmovs r4, #0\nmovs r6, #0\n",
                        "", ""));
}

// clang-format on

}  // namespace mve
}  // namespace quantmcu
