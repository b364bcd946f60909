#include "tflm_kernels/portable/stage/outliers.h"

namespace quantmcu {

bool HasOutliers(const PatchStageHeader& header, const FeatureMap& map, const uint8_t* pixels) {
  int32_t num_outliers = 0;
  for (int32_t y = 0; y < map.height; ++y) {
    for (int32_t x = 0; x < map.width; ++x) {
      const uint8_t* run = pixels + PixelOffset(map, y, x);
      for (int32_t c = 0; c < map.channels; ++c) {
        const int32_t value = LoadValue(run, c, map.bits);
        if (value < header.outlier_low || value > header.outlier_high) ++num_outliers;
      }
    }
  }
  const int64_t num_values = int64_t{map.height} * map.width * map.channels;
  return int64_t{num_outliers} * 65536 > num_values * header.outlier_share;
}

}  // namespace quantmcu
