// At -O3 GCC unrolls loops that run a few times.
#ifndef __clang__
#pragma GCC optimize("Os")
#endif

#include "tflm_kernels/portable/stage/halo.h"

#include <string.h>

namespace quantmcu {
namespace {

// Rows of bytes, `row_bytes` apart.
template <typename Byte>
struct Rows {
  Byte* first;
  int32_t row_bytes;
};

// Rows of whole blocks of words that begin on a word; there are some.
template <int kBlockBytes>
void CopyBlocks(const Rows<const uint8_t>& from, const Rows<uint8_t>& to, int32_t num_rows,
                int32_t num_bytes) {
  const uint8_t* source = from.first;
  uint8_t* target = to.first;
  const int32_t source_gap = from.row_bytes - num_bytes;
  const int32_t target_gap = to.row_bytes - num_bytes;
  const uint32_t num_blocks = static_cast<uint32_t>(num_bytes) / kBlockBytes;
  do {
    uint32_t n = num_blocks;
    do {
      memcpy(__builtin_assume_aligned(target, 4), __builtin_assume_aligned(source, 4), kBlockBytes);
      source += kBlockBytes;
      target += kBlockBytes;
    } while (--n > 0);
    source += source_gap;
    target += target_gap;
  } while (--num_rows > 0);
}

// The rows are short: those of words are copied in less time than calls take.
[[gnu::noinline]] void Copy(const Rows<const uint8_t>& from, const Rows<uint8_t>& to,
                            int32_t num_rows, int32_t num_bytes) {
  const int32_t lengths = from.row_bytes | to.row_bytes | num_bytes;
  if (num_bytes == 0) return;
  if (lengths % 16 == 0) return CopyBlocks<16>(from, to, num_rows, num_bytes);
  if (lengths % 4 == 0) return CopyBlocks<4>(from, to, num_rows, num_bytes);
  for (int32_t i = 0; i < num_rows; ++i) {
    memcpy(to.first + i * to.row_bytes, from.first + i * from.row_bytes,
           static_cast<size_t>(num_bytes));
  }
}

}  // namespace

void LoadHalo(const StageMap& map, const Region& region, int32_t pixel_bytes,
              const uint8_t* scratch, uint8_t* tile) {
  const int32_t row_bytes = Length(region.columns) * pixel_bytes;
  const int32_t kept_bytes = HaloLength(region.columns) * pixel_bytes;
  if (kept_bytes > 0) {
    const int32_t left_bytes = map.left_columns * pixel_bytes;
    Copy({scratch + map.left_offset + left_bytes - kept_bytes, left_bytes}, {tile, row_bytes},
         Length(region.rows), kept_bytes);
  }
  const int32_t rows = HaloLength(region.rows);
  if (rows > 0) {
    const int32_t top_bytes = map.width * pixel_bytes;
    Copy({scratch + map.top_offset + (map.top_rows - rows) * top_bytes +
              region.columns.fresh * pixel_bytes,
          top_bytes},
         {tile + kept_bytes, row_bytes}, rows, row_bytes - kept_bytes);
  }
}

void SaveHalo(const StageMap& map, const Region& region, int32_t pixel_bytes, const uint8_t* tile,
              uint8_t* scratch) {
  const int32_t row_bytes = Length(region.columns) * pixel_bytes;
  const int32_t left_bytes = map.left_columns * pixel_bytes;
  const int32_t last_bytes = Min(left_bytes, row_bytes);
  if (last_bytes > 0) {
    Copy({tile + row_bytes - last_bytes, row_bytes},
         {scratch + map.left_offset + left_bytes - last_bytes, left_bytes}, Length(region.rows),
         last_bytes);
  }
  const int32_t rows = Min(map.top_rows, Length(region.rows));
  if (rows > 0) {
    const int32_t top_bytes = map.width * pixel_bytes;
    const int32_t kept_bytes = HaloLength(region.columns) * pixel_bytes;
    Copy({tile + (Length(region.rows) - rows) * row_bytes + kept_bytes, row_bytes},
         {scratch + map.top_offset + (map.top_rows - rows) * top_bytes +
              region.columns.fresh * pixel_bytes,
          top_bytes},
         rows, row_bytes - kept_bytes);
  }
}

}  // namespace quantmcu
