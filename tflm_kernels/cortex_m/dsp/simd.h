// cortex_m/dsp/simd.h - instructions of the DSP extension (Cortex-M4, M7, M33), named as the instructions
// are: those that arm_acle.h does not offer, and those whose lanes it has as signed words.
//
// Source   Arm Architecture Reference Manual, ARMv7-M with the DSP extension.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_SIMD_H_
#define TFLM_KERNELS_CORTEX_M_DSP_SIMD_H_

#include <arm_acle.h>
#include <stdint.h>
#include <string.h>

namespace quantmcu {
namespace dsp {

// Bytes 0 and 2 as two int16.
inline uint32_t Sxtb16(uint32_t bytes) {
  return static_cast<uint32_t>(__sxtb16(static_cast<int32_t>(bytes)));
}

// The two int16 of `halves` plus bytes 0 and 2.
inline uint32_t Sxtab16(uint32_t halves, uint32_t bytes) {
  return static_cast<uint32_t>(
      __sxtab16(static_cast<int32_t>(halves), static_cast<int32_t>(bytes)));
}

// a - b and a + b of each lane, which wrap. Ssub8 also notes where a >= b, for Sel.
inline uint32_t Ssub8(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(__ssub8(static_cast<int32_t>(a), static_cast<int32_t>(b)));
}

inline uint32_t Ssub16(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(__ssub16(static_cast<int32_t>(a), static_cast<int32_t>(b)));
}

inline uint32_t Sadd16(uint32_t a, uint32_t b) {
  return static_cast<uint32_t>(__sadd16(static_cast<int32_t>(a), static_cast<int32_t>(b)));
}

// The bytes of a where the last Ssub8 noted so, else of b.
inline uint32_t Sel(uint32_t a, uint32_t b) { return __sel(a, b); }

// sum plus the product of the low halves (B) or the high half of a and the low half of b (TB) or of both pairs (AD).
inline int32_t Smlabb(uint32_t a, uint32_t b, int32_t sum) {
  return __smlabb(static_cast<int32_t>(a), static_cast<int32_t>(b), sum);
}

inline int32_t Smlatb(uint32_t a, uint32_t b, int32_t sum) {
  return __smlatb(static_cast<int32_t>(a), static_cast<int32_t>(b), sum);
}

inline int32_t Smlad(uint32_t a, uint32_t b, int32_t sum) {
  return __smlad(static_cast<int32_t>(a), static_cast<int32_t>(b), sum);
}

// sum + (a * the low (B) or high (T) half of b >> 16).
inline int32_t Smlawb(uint32_t a, int32_t b, int32_t sum) {
  return __smlawb(static_cast<int32_t>(a), b, sum);
}

inline int32_t Smlawt(uint32_t a, int32_t b, int32_t sum) {
  return __smlawt(static_cast<int32_t>(a), b, sum);
}

// addend + round(a * b / 2^32), halves upwards.
inline int32_t Smmlar(int32_t a, int32_t b, int32_t addend) {
  int32_t result;
  asm("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(addend));
  return result;
}

// minuend - round(a * b / 2^32), halves downwards.
inline int32_t Smmlsr(int32_t a, int32_t b, int32_t minuend) {
  int32_t result;
  asm("smmlsr %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(minuend));
  return result;
}

// Bytes 1 and 3 as two int16.
inline uint32_t Sxtb16Ror8(uint32_t bytes) {
  uint32_t result;
  asm("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(bytes));
  return result;
}

// The two int16 of `halves` plus bytes 1 and 3.
inline uint32_t Sxtab16Ror8(uint32_t halves, uint32_t bytes) {
  uint32_t result;
  asm("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(halves), "r"(bytes));
  return result;
}

// A constant that the compiler keeps in a register, where an AND takes it with a shifted operand.
inline uint32_t InRegister(uint32_t constant) {
  asm("" : "+r"(constant));
  return constant;
}

// The low halves: of a below, of b above.
inline uint32_t PackLowHalves(uint32_t a, uint32_t b) {
  uint32_t result;
  asm("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(a), "r"(b));
  return result;
}

inline uint32_t PackLowHalves(int32_t a, int32_t b) {
  return PackLowHalves(static_cast<uint32_t>(a), static_cast<uint32_t>(b));
}

// The high halves: of a below, of b above.
inline uint32_t PackHighHalves(uint32_t a, uint32_t b) {
  uint32_t result;
  asm("pkhtb %0, %1, %2, asr #16" : "=r"(result) : "r"(b), "r"(a));
  return result;
}

// `word` with byte kByte replaced by the low byte of `value`.
template <int kByte>
inline uint32_t WithByte(uint32_t word, int32_t value) {
  asm("bfi %0, %1, %2, #8" : "+r"(word) : "r"(value), "n"(8 * kByte));
  return word;
}

struct FourSums {
  int32_t s0;
  int32_t s1;
  int32_t s2;
  int32_t s3;
};

// The next two words. In assembly, as AddFourProducts, because the compiler keeps several copies of a
// pointer that moves and loads too early, and then lacks registers.
[[gnu::always_inline]] inline void LoadTwo(const uint32_t*& words, uint32_t* first,
                                           uint32_t* second) {
  const auto& memory = *reinterpret_cast<const uint32_t(*)[2]>(words);
  asm("ldrd %0, %1, [%2], #8" : "=r"(*first), "=r"(*second), "+r"(words) : "m"(memory));
}

// The next word of bytes, from any address.
[[gnu::always_inline]] inline uint32_t NextWord(const uint8_t*& bytes) {
  uint32_t word;
  const auto& memory = *reinterpret_cast<const uint8_t(*)[4]>(bytes);
  asm("ldr %0, [%1], #4" : "=r"(word), "+r"(bytes) : "m"(memory));
  return word;
}

// The next four words.
inline FourSums LoadSums(const uint32_t*& words) {
  uint32_t s0, s1, s2, s3;
  LoadTwo(words, &s0, &s1);
  LoadTwo(words, &s2, &s3);
  return {static_cast<int32_t>(s0), static_cast<int32_t>(s1), static_cast<int32_t>(s2),
          static_cast<int32_t>(s3)};
}

// sums.s<i> += low half of lanes[i] * low half of word i + the same of the high halves, for the next
// four words.
inline void AddFourProducts(const uint32_t* lanes, const uint32_t*& words, FourSums& sums) {
  const auto& memory = *reinterpret_cast<const uint32_t(*)[4]>(words);
  uint32_t w0;
  uint32_t w1;
  asm("ldrd %4, %5, [%6], #8   \n"
      "smlad %0, %7, %4, %0    \n"
      "smlad %1, %8, %5, %1    \n"
      "ldrd %4, %5, [%6], #8   \n"
      "smlad %2, %9, %4, %2    \n"
      "smlad %3, %10, %5, %3   \n"
      : "+&r"(sums.s0), "+&r"(sums.s1), "+&r"(sums.s2), "+&r"(sums.s3), "=&r"(w0), "=&r"(w1),
        "+r"(words)
      : "r"(lanes[0]), "r"(lanes[1]), "r"(lanes[2]), "r"(lanes[3]), "m"(memory));
}

// From any address: these cores load and store words and halfwords unaligned.
inline uint32_t LoadWord(const uint8_t* bytes) {
  uint32_t word;
  memcpy(&word, bytes, sizeof(word));
  return word;
}

inline uint32_t LoadHalf(const uint8_t* bytes) {
  uint16_t half;
  memcpy(&half, bytes, sizeof(half));
  return half;
}

inline void StoreWord(uint8_t* bytes, uint32_t word) { memcpy(bytes, &word, sizeof(word)); }

inline void StoreHalf(uint8_t* bytes, uint32_t word) {
  const uint16_t half = static_cast<uint16_t>(word);
  memcpy(bytes, &half, sizeof(half));
}

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_SIMD_H_
