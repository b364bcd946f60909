#include "tflm_kernels/aot/stack_usage.h"

namespace quantmcu {
namespace {

constexpr uint8_t kPaint = 0xA5;
constexpr uint32_t kOwnBytes = 256;  // room for the frame of MeasureStackBytes, which paints

}  // namespace

[[gnu::noinline]] uint32_t MeasureStackBytes(void (*work)(const void*), const void* argument) {
  const auto frame = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  auto* lowest = reinterpret_cast<volatile uint8_t*>(frame - kStackProbeBytes);
  for (uint32_t i = 0; i < kStackProbeBytes - kOwnBytes; ++i) lowest[i] = kPaint;
  work(argument);
  uint32_t untouched = 0;
  while (untouched < kStackProbeBytes - kOwnBytes && lowest[untouched] == kPaint) ++untouched;
  return kStackProbeBytes - untouched;
}

}  // namespace quantmcu
