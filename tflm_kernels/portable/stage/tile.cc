#include "tflm_kernels/portable/stage/tile.h"

namespace quantmcu {
namespace {

// What of a tile's region begins at a pixel of the map. Not inlined: it is called for each map of each op.
[[gnu::noinline]] int32_t See(const Tile& tile, int32_t map, int32_t row, int32_t column,
                              FeatureMap* view) {
  const StageFormat& format = FormatOf(tile, map);
  const StageMap& shape = tile.params.maps[map];
  const Span& rows = tile.rows[map];
  const Span& columns = tile.columns[map];
  const int32_t pixel_bytes = RunBytes(shape.channels, format.bits);
  view->height = rows.end - row;
  view->width = columns.end - column;
  view->channels = shape.channels;
  view->bits = format.bits;
  view->zero_point = format.zero_point;
  int32_t row_pixels = shape.width;
  int32_t offset = 0;
  if (format.scratch_offset >= 0) {
    row_pixels = Length(columns);
    row -= rows.begin;
    column -= columns.begin;
    offset = format.scratch_offset;
  }
  view->row_bytes = row_pixels * pixel_bytes;
  return offset + (row * row_pixels + column) * pixel_bytes;
}

const uint8_t* MemoryOf(const Tile& tile, int32_t map) {
  return FormatOf(tile, map).scratch_offset >= 0 ? tile.scratch : InMemory(tile, map);
}

}  // namespace

void SetClass(Tile* tile, int32_t patch_class) {
  tile->patch_class = patch_class;
  tile->formats = &FormatOf(tile->params, Max(patch_class, 0), 0);
}

void Enter(Tile* tile, const Priming& priming, const TilePlace& place, Span* spans,
           int32_t num_spans) {
  const Regions regions =
      ComputeRegions(tile->params, priming, place.row, place.column, spans, num_spans);
  tile->rows = regions.rows;
  tile->columns = regions.columns;
  SetClass(tile, tile->params.patch_classes[place.nearest]);
}

int32_t SeeInput(const Tile& tile, int32_t map, FeatureMap* view) {
  return See(tile, map, tile.rows[map].begin, tile.columns[map].begin, view);
}

int32_t SeeOutput(const Tile& tile, int32_t map, FeatureMap* view) {
  return See(tile, map, tile.rows[map].fresh, tile.columns[map].fresh, view);
}

const uint8_t* FindInput(const Tile& tile, int32_t map, FeatureMap* view) {
  return MemoryOf(tile, map) + SeeInput(tile, map, view);
}

const uint8_t* FindSamePlace(const Tile& tile, const StageOp& op, int32_t map, FeatureMap* view) {
  return MemoryOf(tile, map) +
         See(tile, map, tile.rows[op.output].fresh, tile.columns[op.output].fresh, view);
}

uint8_t* FindOutput(const Tile& tile, int32_t map, FeatureMap* view) {
  uint8_t* memory = FormatOf(tile, map).scratch_offset >= 0 ? tile.scratch : tile.y;
  return memory + SeeOutput(tile, map, view);
}

}  // namespace quantmcu
