// cortex_m/dsp/store_run.h - requantises and stores the sums of one output pixel, four channels at a time.
//
// What is gained: four results are clamped in one word and leave in one store.
// Source   written from docs/arithmetic.md A3 and docs/format.md F2.
#ifndef TFLM_KERNELS_CORTEX_M_DSP_STORE_RUN_H_
#define TFLM_KERNELS_CORTEX_M_DSP_STORE_RUN_H_

#include <stdint.h>

#include "tflm_kernels/cortex_m/dsp/fixed_point.h"
#include "tflm_kernels/cortex_m/dsp/four_values.h"
#include "tflm_kernels/portable/law/channel_table.h"
#include "tflm_kernels/portable/law/feature_map.h"

namespace quantmcu {
namespace dsp {

// Stores the channels [begin, begin + count) of the pixel at `run`; begin is a multiple of four. sums[i] is of
// channel begin + i, without the bias; what stands there is lost.
void StoreRun(const FeatureMap& output, const Clamp& clamp, const ChannelTable& table,
              int32_t begin, int32_t count, int32_t* sums, uint8_t* run);

}  // namespace dsp
}  // namespace quantmcu

#endif  // TFLM_KERNELS_CORTEX_M_DSP_STORE_RUN_H_
