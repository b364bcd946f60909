// The sums of dot_quad.h for weights below 8 bits. A value stays in the top of its byte: products come 2^(8 - bits)
// times too large, and one shift of the sums corrects that.
#include "tflm_kernels/cortex_m/mve/dot.h"
#include "tflm_kernels/cortex_m/mve/dot_quad.h"

namespace quantmcu {
namespace mve {
namespace {

// clang-format off

#define QMCU_BEGIN(last_vector)     \
  "push {r0, r4-r11, lr}\n"         \
  "vpush {d8-" last_vector "}\n"    \
  "vctp.8 r1\n"                     \
  "mov r11, r2\n"                   \
  "mov r7, r3\n"                    \
  "ldm r0, {r1, r3, r5, r9}\n"      \
  "movs r0, #0\n"                   \
  "movs r2, #0\n"                   \
  "movs r4, #0\n"                   \
  "movs r6, #0\n"                   \
  "mov r8, r0\n"                    \
  "mov r10, r0\n"                   \
  "mov r12, r0\n"                   \
  "mov lr, r0\n"

#define QMCU_END(last_vector, shift)    \
  "vmov q0[2], q0[0], r0, r4\n"         \
  "vmov q0[3], q0[1], r2, r6\n"         \
  "vmov q1[2], q1[0], r8, r12\n"        \
  "vmov q1[3], q1[1], r10, lr\n"        \
  "vpop {d8-" last_vector "}\n"         \
  "pop {r0}\n"                          \
  "vldrw.32 q2, [r0, #16]\n"            \
  "vshr.s32 q0, q0, #" shift "\n"       \
  "vshr.s32 q1, q1, #" shift "\n"       \
  "vadd.i32 q0, q0, q2\n"               \
  "vadd.i32 q1, q1, q2\n"               \
  "pop {r4-r11, pc}\n"

#define QMCU_PRODUCTS(weights, first, second) \
  "vmladava.s8 " first ", q0, " weights "\n"  \
  "vmladava.s8 " second ", q1, " weights "\n"

// Two fields of a row in q5, with windows in q0 to q3.
#define QMCU_FIELDS_OF_4(first, second)     \
  "vshl.i8 q6, q5, #4\n"                    \
  "vand q5, q5, q4\n"                       \
  QMCU_PRODUCTS("q6", first, second)        \
  "vmladava.s8 " first ", q2, q5\n"         \
  "vmladava.s8 " second ", q3, q5\n"

#define QMCU_WINDOWS_OF_4       \
  "vldrb.8 q0, [r11], #16\n"    \
  "vldrb.8 q1, [r11], #16\n"    \
  "vldrb.8 q2, [r11], #16\n"    \
  "vldrb.8 q3, [r11], #16\n"

#define QMCU_STEP_OF_4(load, behind)                                     \
  QMCU_WINDOWS_OF_4                                                      \
  load " q5, [r1]" behind "\n" QMCU_FIELDS_OF_4("r0", "r8")              \
  load " q5, [r3]" behind "\n" QMCU_FIELDS_OF_4("r2", "r10")             \
  load " q5, [r5]" behind "\n" QMCU_FIELDS_OF_4("r4", "r12")             \
  load " q5, [r9]" behind "\n" QMCU_FIELDS_OF_4("r6", "lr")

#define QMCU_WINDOWS_OF_2       \
  "vldrb.8 q0, [r11], #16\n"    \
  "vldrb.8 q1, [r11], #16\n"

// A field of four rows in q4 to q7; `take` moves it to the top of q2.
#define QMCU_FIELD_OF_2(take)                    \
  QMCU_WINDOWS_OF_2                              \
  take("q4") QMCU_PRODUCTS("q2", "r0", "r8")     \
  take("q5") QMCU_PRODUCTS("q2", "r2", "r10")    \
  take("q6") QMCU_PRODUCTS("q2", "r4", "r12")    \
  take("q7") QMCU_PRODUCTS("q2", "r6", "lr")

#define QMCU_TAKE_0(row) "vshl.i8 q2, " row ", #6\n"
#define QMCU_TAKE_1(row) "vshl.i8 q2, " row ", #4\nvand q2, q2, q3\n"
#define QMCU_TAKE_2(row) "vshl.i8 q2, " row ", #2\nvand q2, q2, q3\n"
#define QMCU_TAKE_3(row) "vand q2, " row ", q3\n"

#define QMCU_STEP_OF_2(load, behind)    \
  load " q4, [r1]" behind "\n"          \
  load " q5, [r3]" behind "\n"          \
  load " q6, [r5]" behind "\n"          \
  load " q7, [r9]" behind "\n"          \
  QMCU_FIELD_OF_2(QMCU_TAKE_0)          \
  QMCU_FIELD_OF_2(QMCU_TAKE_1)          \
  QMCU_FIELD_OF_2(QMCU_TAKE_2)          \
  QMCU_FIELD_OF_2(QMCU_TAKE_3)

// Steps in front of the last one, and the last one.
#define QMCU_STEPS(step)            \
  "cmp r7, #0\n"                    \
  "beq 2f\n"                        \
  "1:\n"                            \
  step("vldrb.8", ", #16")          \
  "subs r7, #1\n"                   \
  "bne 1b\n"                        \
  "2:\n"                            \
  step("vpst\nvldrbt.8", "")

// A field of two rows with the windows of four pixels.
#define QMCU_FOUR(row0, row1)              \
  "vldrb.8 q0, [r11], #16\n"              \
  "vmladava.s8 r0, q0, " row0 "\n"        \
  "vmladava.s8 r8, q0, " row1 "\n"        \
  "vldrb.8 q1, [r11], #16\n"              \
  "vmladava.s8 r2, q1, " row0 "\n"        \
  "vmladava.s8 r10, q1, " row1 "\n"       \
  "vldrb.8 q0, [r11], #16\n"              \
  "vmladava.s8 r4, q0, " row0 "\n"        \
  "vmladava.s8 r12, q0, " row1 "\n"       \
  "vldrb.8 q1, [r11], #16\n"              \
  "vmladava.s8 r6, q1, " row0 "\n"        \
  "vmladava.s8 lr, q1, " row1 "\n"

#define QMCU_TWO_ROWS(load, behind) load " q2, [r1]" behind "\n" load " q3, [r3]" behind "\n"

#define QMCU_FOUR_STEP_OF_4(load, behind)                             \
  QMCU_TWO_ROWS(load, behind)                                         \
  "vshl.i8 q4, q2, #4\nvshl.i8 q5, q3, #4\n" QMCU_FOUR("q4", "q5")    \
  "vand q2, q2, q6\nvand q3, q3, q6\n" QMCU_FOUR("q2", "q3")

#define QMCU_TOPS(by)                                        \
  "vshl.i8 q4, q2, #" by "\nvshl.i8 q5, q3, #" by "\n"       \
  "vand q4, q4, q6\nvand q5, q5, q6\n" QMCU_FOUR("q4", "q5")

#define QMCU_FOUR_STEP_OF_2(load, behind)                             \
  QMCU_TWO_ROWS(load, behind)                                         \
  "vshl.i8 q4, q2, #6\nvshl.i8 q5, q3, #6\n" QMCU_FOUR("q4", "q5")    \
  QMCU_TOPS("4") QMCU_TOPS("2")                                       \
  "vand q2, q2, q6\nvand q3, q3, q6\n" QMCU_FOUR("q2", "q3")

// Two of the quad's rows, those at `rows`, whose sums go to each pixel's vector on the stack from `at` on.
#define QMCU_FOUR_PASS(step, rows, at0, at1, at2, at3)                     \
  "ldrd r1, r3, [r0, #" rows "]\n"                                        \
  "movs r0, #0\nmovs r2, #0\nmovs r4, #0\nmovs r6, #0\n"                  \
  "mov r8, r0\nmov r10, r0\nmov r12, r0\nmov lr, r0\n"                    \
  "mov r11, r9\nmovs r7, r5\n"                                            \
  "beq 2f\n"                                                              \
  "1:\n" step("vldrb.8", ", #16")                                         \
  "subs r7, #1\nbne 1b\n"                                                 \
  "2:\n" step("vpst\nvldrbt.8", "")                                       \
  "strd r0, r8, [sp, #" at0 "]\nstrd r2, r10, [sp, #" at1 "]\n"           \
  "strd r4, r12, [sp, #" at2 "]\nstrd r6, lr, [sp, #" at3 "]\n"           \
  "ldr r0, [sp, #112]\n"

#define QMCU_FOUR_PIXELS(step, mask, shift)                                \
  "push {r0, r4-r11, lr}\n"                                               \
  "vpush {d8-d13}\n"                                                      \
  "sub sp, #64\n"                                                         \
  "vctp.8 r1\n"                                                           \
  "mov r9, r2\n"                                                          \
  "mov r5, r3\n"                                                          \
  "vmov.i8 q6, #" mask "\n"                                               \
  QMCU_FOUR_PASS(step, "0", "0", "16", "32", "48")                        \
  QMCU_FOUR_PASS(step, "8", "8", "24", "40", "56")                        \
  "vldrw.32 q4, [r0, #16]\n"                                              \
  "vldrw.32 q0, [sp]\nvldrw.32 q1, [sp, #16]\n"                           \
  "vldrw.32 q2, [sp, #32]\nvldrw.32 q3, [sp, #48]\n"                      \
  "vshr.s32 q0, q0, #" shift "\nvshr.s32 q1, q1, #" shift "\n"            \
  "vshr.s32 q2, q2, #" shift "\nvshr.s32 q3, q3, #" shift "\n"            \
  "vadd.i32 q0, q0, q4\nvadd.i32 q1, q1, q4\n"                            \
  "vadd.i32 q2, q2, q4\nvadd.i32 q3, q3, q4\n"                            \
  "add sp, #64\n"                                                         \
  "vpop {d8-d13}\n"                                                       \
  "pop {r1, r4-r11, pc}\n"

// clang-format on

// 16 bytes of each row with as many blocks of the window.
template <int kBits>
inline void AddProducts(const int8_t* window, const int8x16_t* bytes, int32_t* sums) {
#pragma GCC unroll 4
  for (int f = 0; f < kFields<kBits>; ++f) {
    const int8x16_t x = vldrbq_s8(window + f * kLanes);
#pragma GCC unroll 4
    for (int c = 0; c < kQuad; ++c) {
      sums[c] = vmladavaq_s8(sums[c], x, Field<kBits>(bytes[c], f));
    }
  }
}

template <int kBits>
QMCU_DOT_CALL int32x4_t DotOne(const QuadRows* quad, int32_t rest, const int8_t* window,
                               int32_t blocks) {
  const int8_t* row0 = quad->rows[0];
  const int8_t* row1 = quad->rows[1];
  const int8_t* row2 = quad->rows[2];
  const int8_t* row3 = quad->rows[3];
  const mve_pred16_t inside = vctp8q(static_cast<uint32_t>(rest));
  int32_t sums[kQuad] = {};
  for (; blocks > 0; --blocks, window += kFields<kBits> * kLanes) {
    const int8x16_t bytes[kQuad] = {vldrbq_s8(row0), vldrbq_s8(row1), vldrbq_s8(row2),
                                    vldrbq_s8(row3)};
    AddProducts<kBits>(window, bytes, sums);
    row0 += kLanes;
    row1 += kLanes;
    row2 += kLanes;
    row3 += kLanes;
  }
  const int8x16_t bytes[kQuad] = {vldrbq_z_s8(row0, inside), vldrbq_z_s8(row1, inside),
                                  vldrbq_z_s8(row2, inside), vldrbq_z_s8(row3, inside)};
  AddProducts<kBits>(window, bytes, sums);
  return vaddq_s32(Reduced<kBits>(vldrwq_s32(sums)), vldrwq_s32(quad->bias));
}

}  // namespace

// r0, r2, r4, r6: sums of the first window; r8, r10, r12, lr: of the second; r1, r3, r5, r9: rows; r11: windows; r7:
// steps left; q4: what a byte's second field is.
[[gnu::naked]] QMCU_DOT_CALL PairSums DotPair4(const QuadRows*, int32_t, const int8_t*, int32_t) {
  asm volatile(QMCU_BEGIN("d13") "vmov.i8 q4, #0xF0\n" QMCU_STEPS(QMCU_STEP_OF_4)
                   QMCU_END("d13", "4"));
}

// The same; q3: what a byte's last field is.
[[gnu::naked]] QMCU_DOT_CALL PairSums DotPair2(const QuadRows*, int32_t, const int8_t*, int32_t) {
  asm volatile(QMCU_BEGIN("d15") "vmov.i8 q3, #0xC0\n" QMCU_STEPS(QMCU_STEP_OF_2)
                   QMCU_END("d15", "6"));
}

// r0, r2, r4, r6: sums of the first row with the windows; r8, r10, r12, lr: of the second; r1, r3: rows; r11: windows,
// which begin at r9; r7: steps left of r5; q6: what a byte's last field is.
[[gnu::naked]] QMCU_DOT_CALL FourSums DotFour4(const QuadRows*, int32_t, const int8_t*, int32_t) {
  asm volatile(QMCU_FOUR_PIXELS(QMCU_FOUR_STEP_OF_4, "0xF0", "4"));
}

[[gnu::naked]] QMCU_DOT_CALL FourSums DotFour2(const QuadRows*, int32_t, const int8_t*, int32_t) {
  asm volatile(QMCU_FOUR_PIXELS(QMCU_FOUR_STEP_OF_2, "0xC0", "6"));
}

const QuadDots& DotsOf(int32_t weight_bits) {
  static constexpr QuadDots k8 = {nullptr, DotPair8, DotOne8};
  static constexpr QuadDots k4 = {DotFour4, DotPair4, DotOne<4>};
  static constexpr QuadDots k2 = {DotFour2, DotPair2, DotOne<2>};
  if (weight_bits == 8) return k8;
  return weight_bits == 4 ? k4 : k2;
}

}  // namespace mve
}  // namespace quantmcu
