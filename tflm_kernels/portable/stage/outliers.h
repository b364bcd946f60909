// portable/stage/outliers.h - the class of a patch by its values (dynamic VDPC), one pass over
// them.
//
// Source   written from docs/format.md F4, "Classes chosen at run time".
#ifndef TFLM_KERNELS_PORTABLE_STAGE_OUTLIERS_H_
#define TFLM_KERNELS_PORTABLE_STAGE_OUTLIERS_H_

#include <stdint.h>

#include "tflm_kernels/portable/stage/program.h"

namespace quantmcu {

// Whether more than outlier_share / 2^16 of the values lie outside [outlier_low, outlier_high].
bool HasOutliers(const PatchStageHeader& header, const FeatureMap& map, const uint8_t* pixels);

}  // namespace quantmcu

#endif  // TFLM_KERNELS_PORTABLE_STAGE_OUTLIERS_H_
