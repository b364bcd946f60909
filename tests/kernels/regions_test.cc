// Spans of columns that stay from one row of tiles to the next are those that are found anew in each.
#include "tflm_kernels/portable/stage/regions.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <vector>

#include "tflm_kernels/portable/stage/program.h"

namespace quantmcu {
namespace {

constexpr Window k3x3 = {3, 3, 1, 1, 1, 1, 1, 1};
constexpr Window k3x3Apart = {3, 3, 2, 2, 1, 1, 0, 0};
constexpr Window k1x1Apart = {1, 1, 2, 2, 1, 1, 0, 0};
constexpr Window kOne = {1, 1, 1, 1, 1, 1, 0, 0};

// A block with a shortcut that is computed ahead, all of its maps kept.
constexpr StageOp kOps[] = {
    {kStageConv2D, 0, -1, 1, k3x3, 8, 0, 0, 0},
    {kStageConv2D, 1, -1, 2, k1x1Apart, 8, 0, 0, 0},
    {kStageConv2D, 1, -1, 3, k3x3Apart, 8, 0, 0, 0},
    {kStageConv2D, 3, -1, 4, k3x3, 8, 0, 0, 0},
    {kStageAdd, 2, 4, 5, kOne, 0, 0, 0, 0},
};
constexpr StageMap kMaps[] = {
    {20, 36, 1},
    {20, 36, 1, kCacheFull},
    {10, 18, 1, kCacheAhead},
    {10, 18, 1, kCacheFull},
    {10, 18, 1, kCacheFull},
    {10, 18, 1},
};
constexpr int32_t kNumMaps = sizeof(kMaps) / sizeof(kMaps[0]);

PatchStageParams Params(int32_t tile_width, int32_t cache_mode, int32_t primed) {
  static const StageFormat formats[kNumMaps] = {
      {8, 0, {-128, 127}, -1, 0}, {8, 0, {-128, 127}, 0, 0}, {8, 0, {-128, 127}, 0, 0},
      {8, 0, {-128, 127}, 0, 0},  {8, 0, {-128, 127}, 0, 0}, {8, 0, {-128, 127}, -1, 0}};
  PatchStageParams params = {};
  params.header = {3, tile_width, kNumMaps - 1, kNumMaps, 1, cache_mode, primed};
  params.ops = kOps;
  params.maps = kMaps;
  params.formats = formats;
  return params;
}

// Begin, fresh and end of each map in each tile, rows before columns.
std::vector<int32_t> SpansOf(const PatchStageParams& params, int32_t num_spans) {
  std::vector<Span> spans(num_spans);
  std::vector<int32_t> found;
  const Priming priming = PrimingOf(params, spans.data());
  ForEachTile(params, priming, [&](int32_t row, int32_t column, int32_t) {
    const Regions regions = ComputeRegions(params, priming, row, column, spans.data(), num_spans);
    for (const Span* axis : {regions.rows, regions.columns}) {
      for (int32_t m = 0; m < kNumMaps; ++m) {
        found.insert(found.end(), {axis[m].begin, axis[m].fresh, axis[m].end});
      }
    }
    return true;
  });
  return found;
}

TEST(RegionsTest, ColumnsThatStayAreThoseThatAreFoundAnew) {
  for (int32_t tile_width : {1, 3, 18}) {
    for (int32_t primed : {kNotPrimed, kPrimed, kRowsPrimed}) {
      const PatchStageParams params = Params(tile_width, kCacheAhead, primed);
      const std::vector<int32_t> anew = SpansOf(params, 2 * kNumMaps);
      for (int32_t num_places : {3, 4, 7, 8, 30}) {
        EXPECT_EQ(SpansOf(params, num_places * kNumMaps), anew) << tile_width << " " << num_places;
      }
      EXPECT_EQ(SpansOf(params, kNumSpans), anew);
    }
  }
}

TEST(RegionsTest, EachPixelIsComputedOnce) {
  const PatchStageParams params = Params(1, kCacheAhead, kPrimed);
  std::vector<Span> spans(kNumSpans);
  const Priming priming = PrimingOf(params, spans.data());
  std::array<int32_t, kNumMaps> computed = {};
  ForEachTile(params, priming, [&](int32_t row, int32_t column, int32_t) {
    const Regions regions = ComputeRegions(params, priming, row, column, spans.data(), kNumSpans);
    for (int32_t m = 1; m < kNumMaps; ++m) {
      computed[m] += FreshLength(regions.rows[m]) * FreshLength(regions.columns[m]);
    }
    return true;
  });
  EXPECT_EQ(computed[1], 20 * 36);
  for (int32_t m = 2; m < kNumMaps; ++m) EXPECT_EQ(computed[m], 10 * 18) << m;
}

}  // namespace
}  // namespace quantmcu
