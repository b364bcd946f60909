#include "tflm_kernels/portable/stage/check_overlaps.h"

#include "tflm_kernels/portable/stage/checks.h"
#include "tflm_kernels/portable/stage/regions.h"

namespace quantmcu {
namespace {

struct Place {
  int32_t begin;
  int32_t end;
};

bool ShareBytes(const Place& a, const Place& b) {
  return Max(a.begin, b.begin) < Min(a.end, b.end);
}

Place BufferOf(const PatchStageParams& p, int32_t patch_class, int32_t map) {
  const StageFormat& format = FormatOf(p, patch_class, map);
  return {format.scratch_offset, format.scratch_offset + format.scratch_bytes};
}

// What lives all the time, two places a map; empty ones share nothing.
Place StaticPlace(const PatchStageParams& p, int32_t index) {
  const int32_t m = index / 2;
  const StageMap& map = p.maps[m];
  if (m == p.header.num_maps - 1) return index % 2 == 0 ? BufferOf(p, 0, m) : Place{0, 0};
  return index % 2 == 0 ? Place{map.left_offset, map.left_offset + map.left_bytes}
                        : Place{map.top_offset, map.top_offset + map.top_bytes};
}

// The last op that reads a map, or the op that writes it if nobody does.
int32_t LastOpOf(const PatchStageParams& p, int32_t map) {
  int32_t last = map - NumStageInputs(p.header);
  for (int32_t i = Max(last + 1, 0); i < p.header.num_ops; ++i) {
    if (Reads(p.ops[i], map)) last = i;
  }
  return last;
}

// Of two maps n < m, n is written first: they are live together if n is still read when m is written.
bool CheckBuffers(const PatchStageParams& p, int32_t patch_class, StageError* error) {
  for (int32_t n = 0; n < p.header.num_maps - 1; ++n) {
    const Place a = BufferOf(p, patch_class, n);
    const int32_t last_op = LastOpOf(p, n);
    for (int32_t m = n + 1; m < p.header.num_maps - 1 && m - NumStageInputs(p.header) <= last_op;
         ++m) {
      if (!Require(!ShareBytes(a, BufferOf(p, patch_class, m)),
                   {"map", m, "shares scratch bytes with a map that is live at the same time", n},
                   error)) {
        return false;
      }
    }
  }
  return true;
}

bool CheckStaticPlace(const PatchStageParams& p, int32_t index, StageError* error) {
  const Place place = StaticPlace(p, index);
  for (int32_t other = 0; other < index; ++other) {
    if (!Require(!ShareBytes(place, StaticPlace(p, other)),
                 {"map", index / 2, "shares scratch bytes with what another map keeps", other / 2},
                 error)) {
      return false;
    }
  }
  for (int32_t k = 0; k < p.header.num_classes; ++k) {
    for (int32_t m = 0; m < p.header.num_maps - 1; ++m) {
      if (!Require(!ShareBytes(place, BufferOf(p, k, m)),
                   {"map", m, "shares scratch bytes with what a map keeps", index / 2}, error)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace

bool CheckOverlaps(const PatchStageParams& p, StageError* error) {
  for (int32_t k = 0; k < p.header.num_classes; ++k) {
    if (!CheckBuffers(p, k, error)) return false;
  }
  for (int32_t index = 0; index < 2 * p.header.num_maps; ++index) {
    if (!CheckStaticPlace(p, index, error)) return false;
  }
  return true;
}

}  // namespace quantmcu
