/* aot/invoke_c.h - what an emitted model's C header shares with all others: the types of quantmcu::InvokeOptions
   in C. */
#ifndef TFLM_KERNELS_AOT_INVOKE_C_H_
#define TFLM_KERNELS_AOT_INVOKE_C_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What <name>_invoke, <name>_step and <name>_check_arena return. */
enum {
  kQuantMcuOk = 0,
  kQuantMcuReaderFailed = 1,
  kQuantMcuStopped = 2,
  kQuantMcuArenaMisaligned = 3,
  kQuantMcuArenaTooSmall = 4,
  kQuantMcuMore = 5 /* of <name>_step: there is more to run */
};

/* As quantmcu::InputRegion. */
typedef struct QuantMcuInputRegion {
  int32_t y;
  int32_t x;
  int32_t height;
  int32_t width;
  int32_t row_bytes;
  uint8_t* pixels;
} QuantMcuInputRegion;

/* As quantmcu::Progress. */
typedef struct QuantMcuProgress {
  int32_t op;
  int32_t tile;
} QuantMcuProgress;

/* Both functions return whether to go on; NULL for none. */
typedef struct QuantMcuInvokeOptions {
  bool (*read)(void* context, const QuantMcuInputRegion* region);
  bool (*hook)(void* context, const QuantMcuProgress* next);
  void* context; /* of both */
} QuantMcuInvokeOptions;

#ifdef __cplusplus

#include "tflm_kernels/aot/invoke.h"

namespace quantmcu {
namespace aot {

// The context of these is the C options.
inline bool ReadFromC(void* c_options, const InputRegion& region) {
  const auto& options = *static_cast<const QuantMcuInvokeOptions*>(c_options);
  const QuantMcuInputRegion asked = {region.y,     region.x,         region.height,
                                     region.width, region.row_bytes, region.pixels};
  return options.read(options.context, &asked);
}

inline bool CallHookOfC(void* c_options, const Progress& progress) {
  const auto& options = *static_cast<const QuantMcuInvokeOptions*>(c_options);
  const QuantMcuProgress next = {progress.op, progress.tile};
  return options.hook(options.context, &next);
}

inline InvokeOptions OptionsOfC(const QuantMcuInvokeOptions* c_options) {
  if (c_options == nullptr) return {};
  auto* context = const_cast<QuantMcuInvokeOptions*>(c_options);
  return {{ReadFromC, context}, c_options->hook == nullptr ? nullptr : CallHookOfC, context};
}

}  // namespace aot
}  // namespace quantmcu

#endif /* __cplusplus */

#endif /* TFLM_KERNELS_AOT_INVOKE_C_H_ */
