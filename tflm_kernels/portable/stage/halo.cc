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

void Copy(const Rows<const uint8_t>& from, const Rows<uint8_t>& to, int32_t num_rows,
          int32_t num_bytes) {
  for (int32_t i = 0; i < num_rows; ++i) {
    memcpy(to.first + i * to.row_bytes, from.first + i * from.row_bytes,
           static_cast<size_t>(num_bytes));
  }
}

// The last `num_columns` columns of the left store.
template <typename Byte>
Rows<Byte> Left(const StageMap& map, int32_t num_columns, int32_t pixel_bytes, Byte* scratch) {
  return {scratch + map.left_offset + (map.left_columns - num_columns) * pixel_bytes,
          map.left_columns * pixel_bytes};
}

// The last `num_rows` rows of the top store, from `column` on.
template <typename Byte>
Rows<Byte> Top(const StageMap& map, int32_t num_rows, int32_t column, int32_t pixel_bytes,
               Byte* scratch) {
  const int32_t row_bytes = map.width * pixel_bytes;
  return {scratch + map.top_offset + (map.top_rows - num_rows) * row_bytes + column * pixel_bytes,
          row_bytes};
}

// The tile's buffer from (row, column) on, counted within the region.
template <typename Byte>
Rows<Byte> Tile(const Region& region, int32_t row, int32_t column, int32_t pixel_bytes,
                Byte* tile) {
  const int32_t row_bytes = Length(region.columns) * pixel_bytes;
  return {tile + row * row_bytes + column * pixel_bytes, row_bytes};
}

}  // namespace

void LoadHalo(const StageMap& map, const Region& region, int32_t pixel_bytes,
              const uint8_t* scratch, uint8_t* tile) {
  const int32_t columns = HaloLength(region.columns);
  if (columns > 0) {
    Copy(Left(map, columns, pixel_bytes, scratch), Tile(region, 0, 0, pixel_bytes, tile),
         Length(region.rows), columns * pixel_bytes);
  }
  const int32_t rows = HaloLength(region.rows);
  if (rows > 0) {
    Copy(Top(map, rows, region.columns.fresh, pixel_bytes, scratch),
         Tile(region, 0, columns, pixel_bytes, tile), rows,
         FreshLength(region.columns) * pixel_bytes);
  }
}

void SaveHalo(const StageMap& map, const Region& region, int32_t pixel_bytes, const uint8_t* tile,
              uint8_t* scratch) {
  const int32_t columns = Min(map.left_columns, Length(region.columns));
  if (columns > 0) {
    Copy(Tile(region, 0, Length(region.columns) - columns, pixel_bytes, tile),
         Left(map, columns, pixel_bytes, scratch), Length(region.rows), columns * pixel_bytes);
  }
  const int32_t rows = Min(map.top_rows, Length(region.rows));
  if (rows > 0) {
    Copy(Tile(region, Length(region.rows) - rows, HaloLength(region.columns), pixel_bytes, tile),
         Top(map, rows, region.columns.fresh, pixel_bytes, scratch), rows,
         FreshLength(region.columns) * pixel_bytes);
  }
}

}  // namespace quantmcu
