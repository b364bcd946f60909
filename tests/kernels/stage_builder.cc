#include "tests/kernels/stage_builder.h"

#include <algorithm>
#include <map>

namespace quantmcu {
namespace {

constexpr StageOp kNoOp = {0, 0, -1, 0, {1, 1, 1, 1, 1, 1, 0, 0}, 0, 0, 0, 0};

bool IsConvolution(const StageOp& op) {
  return op.kind == kStageConv2D || op.kind == kStageDepthwiseConv2D;
}

// Rows or columns [begin, end).
struct Range {
  int64_t begin = 0;
  int64_t end = 0;
};

struct Box {
  Range y;
  Range x;

  int64_t Pixels() const { return (y.end - y.begin) * (x.end - x.begin); }
};

// docs/format.md F4, "Regions", one axis; empty ranges are {0, 0}.
Range Needed(const Range& output, int64_t extent, int64_t kernel, int64_t stride, int64_t dilation,
             int64_t pad) {
  if (output.end == 0) return {};
  const int64_t i0 = std::clamp<int64_t>(output.begin * stride - pad, 0, extent);
  const int64_t i1 =
      std::clamp<int64_t>((output.end - 1) * stride - pad + (kernel - 1) * dilation + 1, 0, extent);
  return i1 <= i0 ? Range{} : Range{i0, i1};
}

void Include(const Range& part, Range* range) {
  if (part.end == 0) return;
  *range = range->end == 0
               ? part
               : Range{std::min(range->begin, part.begin), std::max(range->end, part.end)};
}

void Include(const Box& part, Box* box) {
  Include(part.y, &box->y);
  Include(part.x, &box->x);
}

Box TileBox(const Stage& stage, int32_t tile) {
  const int64_t height = stage.header.tile_height;
  const int64_t width = stage.header.tile_width;
  const int64_t y = tile / stage.NumTileColumns() * height;
  const int64_t x = tile % stage.NumTileColumns() * width;
  return {{y, std::min<int64_t>(y + height, stage.maps.back().height)},
          {x, std::min<int64_t>(x + width, stage.maps.back().width)}};
}

std::vector<Box> Regions(const Stage& stage, int32_t tile) {
  std::vector<Box> boxes(stage.maps.size());
  boxes.back() = TileBox(stage, tile);
  for (size_t i = stage.ops.size(); i-- > 0;) {
    const StageOp& op = stage.ops[i];
    const Window& w = op.window;
    const StageMap& input = stage.maps[op.input0];
    Box needed = boxes[op.output];
    if (CombinesTwo(op)) {
      Include(needed, &boxes[op.input1]);
    } else {
      needed.y = Needed(needed.y, input.height, w.kernel_height, w.stride_height, w.dilation_height,
                        w.pad_top);
      needed.x = Needed(needed.x, input.width, w.kernel_width, w.stride_width, w.dilation_width,
                        w.pad_left);
    }
    Include(needed, &boxes[op.input0]);
  }
  return boxes;
}

// The largest region of each map over the tiles of a class.
std::vector<int32_t> ScratchBytes(const Stage& stage, int32_t patch_class) {
  std::vector<int32_t> bytes(stage.maps.size(), 0);
  for (size_t tile = 0; tile < stage.patch_classes.size(); ++tile) {
    if (stage.patch_classes[tile] != patch_class) continue;
    const std::vector<Box> boxes = Regions(stage, static_cast<int32_t>(tile));
    for (size_t m = 1; m + 1 < stage.maps.size(); ++m) {
      const int32_t pixel_bytes =
          (stage.maps[m].channels * stage.formats[patch_class][m].bits + 7) / 8;
      bytes[m] = std::max(bytes[m], static_cast<int32_t>(boxes[m].Pixels() * pixel_bytes));
    }
  }
  return bytes;
}

// The last op that reads a map, or its writer.
int32_t LastReader(const Stage& stage, int32_t map) {
  int32_t last = map - 1;
  for (int32_t i = 0; i < stage.header.num_ops; ++i) {
    if (stage.ops[i].input0 == map || stage.ops[i].input1 == map) last = i;
  }
  return last;
}

// First fit: every map at the lowest place that no map of its time has.
void PlaceMaps(Stage* stage, int32_t patch_class) {
  std::vector<StageFormat>& formats = stage->formats[patch_class];
  const std::vector<int32_t> bytes = ScratchBytes(*stage, patch_class);
  formats.front().scratch_offset = formats.back().scratch_offset = -1;
  for (int32_t m = 1; m < stage->header.num_ops; ++m) {
    int32_t offset = 0;
    for (bool moved = true; moved;) {
      moved = false;
      for (int32_t n = 1; n < m; ++n) {
        const int32_t begin = formats[n].scratch_offset;
        const int32_t end = begin + formats[n].scratch_bytes;
        const bool is_live = m - 1 <= LastReader(*stage, n);
        if (is_live && offset < end && begin < offset + bytes[m]) {
          offset = (end + 3) / 4 * 4;
          moved = true;
        }
      }
    }
    formats[m].scratch_offset = offset;
    formats[m].scratch_bytes = bytes[m];
  }
}

int32_t OutputExtent(int32_t input, int32_t kernel, int32_t stride, int32_t dilation, int32_t pad,
                     naive::Random* random) {
  const int32_t reach = (kernel - 1) * dilation + 1;
  const int32_t fitting = (input + pad + random->Uniform(0, kernel) - reach) / stride + 1;
  return std::clamp(fitting, 1, 16);
}

// A pool's windows must all reach into the input.
int32_t PoolExtent(int32_t input, int32_t stride, int32_t pad, int32_t wanted) {
  return std::min(wanted, (input - 1 + pad) / stride + 1);
}

void RandomWindow(const StageMap& input, StageOp* op, StageMap* output, naive::Random* random) {
  if (random->OneIn(2)) {
    // Keeps the shape, so that residual adds find partners.
    op->window = {3, 3, 1, 1, 1, 1, 1, 1};
    return;
  }
  const bool is_pool = !IsConvolution(*op);
  Window& w = op->window;
  w.kernel_height = random->Uniform(1, 4);
  w.kernel_width = random->Uniform(1, 4);
  w.stride_height = random->Uniform(1, 3);
  w.stride_width = random->Uniform(1, 2);
  w.dilation_height = is_pool ? 1 : random->Uniform(1, 2);
  w.dilation_width = is_pool ? 1 : random->Uniform(1, 2);
  w.pad_top = random->Uniform(is_pool ? 0 : -1, w.kernel_height - 1);
  w.pad_left = random->Uniform(is_pool ? 0 : -1, w.kernel_width - 1);
  output->height = OutputExtent(input.height, w.kernel_height, w.stride_height, w.dilation_height,
                                w.pad_top, random);
  output->width = OutputExtent(input.width, w.kernel_width, w.stride_width, w.dilation_width,
                               w.pad_left, random);
  if (!is_pool) return;
  output->height = PoolExtent(input.height, w.stride_height, w.pad_top, output->height);
  output->width = PoolExtent(input.width, w.stride_width, w.pad_left, output->width);
}

// The maps written so far that `map` can be added to: itself only if there is no other.
std::vector<int32_t> Partners(const Stage& stage, int32_t num_written, int32_t map) {
  std::vector<int32_t> partners;
  const StageMap& a = stage.maps[map];
  for (int32_t m = 0; m < num_written; ++m) {
    const StageMap& b = stage.maps[m];
    const bool is_same = a.height == b.height && a.width == b.width && a.channels == b.channels;
    if (is_same && m != map) partners.push_back(m);
  }
  return partners.empty() ? std::vector<int32_t>{map} : partners;
}

void AddRandomOp(Stage* stage, naive::Random* random) {
  const int32_t last_written = static_cast<int32_t>(stage->ops.size());
  StageOp op = kNoOp;
  op.kind = random->Of({kStageConv2D, kStageDepthwiseConv2D, kStageAdd, kStageAveragePool2D,
                        kStageMaxPool2D, kStageRequantize, kStageLut, kStageChannelLut, kStageMul,
                        kStageSub});
  op.input0 = random->OneIn(4) ? random->Uniform(0, last_written) : last_written;
  op.output = last_written + 1;
  const StageMap& input = stage->maps[op.input0];
  StageMap shape = input;
  naive::Filter filter = {8, 1, {}};
  if (CombinesTwo(op)) {
    op.input1 = random->Of(Partners(*stage, op.output, op.input0));
  } else if (op.kind == kStageRequantize || IsLut(op)) {
    op.window.pad_top = random->Uniform(-1, 2);
    op.window.pad_left = random->Uniform(-1, 2);
    shape.height = std::clamp(input.height + random->Uniform(-1, 3), 1, 16);
    shape.width = std::clamp(input.width + random->Uniform(-1, 3), 1, 16);
  } else {
    RandomWindow(input, &op, &shape, random);
  }
  const int32_t taps = op.window.kernel_height * op.window.kernel_width;
  if (op.kind == kStageConv2D) {
    shape.channels = random->Of({input.channels, input.channels, 1, 2, 3, 5, 8, 9});
    filter = naive::RandomFilter(shape.channels * taps, input.channels, random->Of(naive::kBits),
                                 random);
  } else if (op.kind == kStageDepthwiseConv2D) {
    op.depth_multiplier = input.channels < 8 ? random->Uniform(1, 2) : 1;
    shape.channels = input.channels * op.depth_multiplier;
    filter = naive::RandomFilter(taps, shape.channels, random->Of(naive::kBits), random);
  }
  if (IsConvolution(op)) op.weight_bits = filter.bits;
  stage->maps[op.output] = shape;
  stage->ops.push_back(op);
  stage->filters.push_back(filter);
}

StageFormat RandomFormat(int32_t bits, naive::Random* random) {
  const int32_t zero_point = random->Uniform(naive::QMin(bits), naive::QMax(bits));
  return {bits, zero_point, naive::RandomClamp(bits, zero_point, random), 0, 0};
}

std::vector<int32_t> Words(const FixedPoint& factor) { return {factor.multiplier, factor.shift}; }

// Four entries a word, the first one in its lowest byte.
std::vector<int32_t> LutWords(const std::vector<int32_t>& table) {
  std::vector<int32_t> words(table.size() / 4);
  for (size_t i = 0; i < table.size(); ++i) {
    words[i / 4] |= static_cast<int32_t>((static_cast<uint32_t>(table[i]) & 0xFF) << i % 4 * 8);
  }
  return words;
}

std::vector<int32_t> LutEntries(const std::vector<int32_t>& words) {
  std::vector<int32_t> table;
  for (size_t i = 0; i < words.size() * 4; ++i) {
    table.push_back(static_cast<int8_t>(static_cast<uint32_t>(words[i / 4]) >> i % 4 * 8));
  }
  return table;
}

std::vector<int32_t> RandomOpTable(const Stage& stage, const std::vector<StageFormat>& formats,
                                   const StageOp& op, naive::Random* random) {
  const int32_t input_bits = formats[op.input0].bits;
  const int32_t output_bits = formats[op.output].bits;
  if (IsConvolution(op)) {
    const int32_t depth = op.kind == kStageConv2D ? stage.maps[op.input0].channels : 1;
    const int32_t taps = op.window.kernel_height * op.window.kernel_width;
    return naive::RandomTable(stage.maps[op.output].channels, taps * depth, input_bits,
                              op.weight_bits, output_bits, random);
  }
  if (IsLut(op)) {
    const int32_t num_tables = op.kind == kStageChannelLut ? stage.maps[op.input0].channels : 1;
    return LutWords(naive::RandomLut(input_bits, formats[op.output].clamp, random, num_tables));
  }
  if (op.kind == kStageMul) return Words(naive::RandomFactor(1 << 14, output_bits, random));
  if (!CombinesTwo(op)) {
    return Words(naive::RandomFactor(1 << input_bits, output_bits, random));
  }
  std::vector<int32_t> table;
  for (int32_t input : {op.input0, op.input1}) {
    const FixedPoint factor = naive::RandomFactor(1 << formats[input].bits, 8, random);
    table.insert(table.end(), {factor.multiplier, factor.shift});
  }
  const FixedPoint factor = naive::RandomFactor(1 << 28, output_bits, random);
  table.insert(table.end(), {factor.multiplier, factor.shift});
  return table;
}

naive::Map EmptyMapOf(const Stage& stage, int32_t patch_class, size_t map) {
  const StageMap& shape = stage.maps[map];
  const StageFormat& format = stage.formats[patch_class][map];
  return naive::EmptyMap(shape.height, shape.width, shape.channels, format.bits, format.zero_point);
}

void RunOpOnWholeMaps(const Stage& stage, int32_t patch_class, size_t index,
                      std::vector<naive::Map>* maps) {
  const StageOp& op = stage.ops[index];
  const std::vector<int32_t>& t = stage.tables[patch_class][index];
  const naive::Map& input = (*maps)[op.input0];
  naive::Map* output = &(*maps)[op.output];
  const Clamp& clamp = stage.formats[patch_class][op.output].clamp;
  switch (op.kind) {
    case kStageConv2D:
      return naive::Conv2D(input, stage.filters[index], t, op.window, clamp, output);
    case kStageDepthwiseConv2D:
      return naive::DepthwiseConv2D(input, stage.filters[index], t, op.window, clamp, output);
    case kStageAdd:
    case kStageSub:
      return naive::Add(input, (*maps)[op.input1], {{t[0], t[1]}, {t[2], t[3]}, {t[4], t[5]}},
                        clamp, output, op.kind == kStageSub ? -1 : 1);
    case kStageMul:
      return naive::Multiplied(input, (*maps)[op.input1], {t[0], t[1]}, clamp, output);
    case kStageAveragePool2D:
      return naive::AveragePool2D(input, op.window, {t[0], t[1]}, clamp, output);
    case kStageMaxPool2D:
      return naive::MaxPool2D(input, op.window, {t[0], t[1]}, clamp, output);
    case kStageRequantize:
      return naive::Requantize(input, op.window.pad_top, op.window.pad_left, {t[0], t[1]}, clamp,
                               output);
    case kStageLut:
    case kStageChannelLut:
      return naive::Lut(input, op.window.pad_top, op.window.pad_left, LutEntries(t), output);
  }
}

naive::Map WholeY(const Stage& stage, int32_t patch_class, const naive::Map& x) {
  std::vector<naive::Map> maps = {x};
  for (size_t m = 1; m < stage.maps.size(); ++m) maps.push_back(EmptyMapOf(stage, patch_class, m));
  for (size_t i = 0; i < stage.ops.size(); ++i) RunOpOnWholeMaps(stage, patch_class, i, &maps);
  return maps.back();
}

void Append(const std::vector<int32_t>& words, std::vector<int32_t>* program) {
  program->insert(program->end(), words.begin(), words.end());
}

}  // namespace

int32_t Stage::NumTileColumns() const {
  return (maps.back().width + header.tile_width - 1) / header.tile_width;
}

int32_t Stage::NumTileRows() const {
  return (maps.back().height + header.tile_height - 1) / header.tile_height;
}

naive::Map Stage::RandomX(naive::Random* random) const {
  naive::Map x = EmptyMapOf(*this, 0, 0);
  for (int32_t& value : x.values) {
    value = random->Uniform(naive::QMin(x.bits), naive::QMax(x.bits));
  }
  return x;
}

naive::Map Stage::ExpectedY(const naive::Map& x) const {
  std::vector<naive::Map> by_class;
  for (int32_t k = 0; k < header.num_classes; ++k) by_class.push_back(WholeY(*this, k, x));
  naive::Map expected = by_class[0];
  for (int32_t y = 0; y < expected.height; ++y) {
    for (int32_t x_position = 0; x_position < expected.width; ++x_position) {
      const int32_t tile =
          y / header.tile_height * NumTileColumns() + x_position / header.tile_width;
      for (int32_t c = 0; c < expected.channels; ++c) {
        expected.At(y, x_position, c) = by_class[patch_classes[tile]].At(y, x_position, c);
      }
    }
  }
  return expected;
}

Stage RandomStage(int32_t num_ops, int32_t num_classes, int32_t bits, naive::Random* random) {
  Stage stage;
  stage.header = {1, 1, num_ops, num_ops + 1, num_classes, kCacheNone, 0, 0, 0, 0};
  stage.maps.resize(num_ops + 1);
  stage.maps[0] = {random->Uniform(5, 12), random->Uniform(5, 12), random->Of({1, 2, 3, 5, 8, 9})};
  for (int32_t i = 0; i < num_ops; ++i) AddRandomOp(&stage, random);
  for (int32_t k = 0; k < num_classes; ++k) {
    std::vector<StageFormat> formats;
    for (size_t m = 0; m < stage.maps.size(); ++m) {
      formats.push_back(RandomFormat(bits != 0 ? bits : random->Of(naive::kBits), random));
    }
    if (k > 0) formats.front() = stage.formats[0].front();
    if (k > 0) formats.back() = stage.formats[0].back();
    stage.formats.push_back(formats);
    std::vector<std::vector<int32_t>> tables;
    for (const StageOp& op : stage.ops) {
      tables.push_back(RandomOpTable(stage, formats, op, random));
    }
    stage.tables.push_back(tables);
  }
  CutIntoTiles(stage.maps.back().height, stage.maps.back().width, &stage, random);
  return stage;
}

void CutIntoTiles(int32_t tile_height, int32_t tile_width, Stage* stage, naive::Random* random) {
  stage->header.tile_height = tile_height;
  stage->header.tile_width = tile_width;
  stage->patch_classes.resize(size_t(stage->NumTileRows()) * stage->NumTileColumns());
  for (int32_t& k : stage->patch_classes) k = random->Uniform(0, stage->header.num_classes - 1);
  for (int32_t k = 0; k < stage->header.num_classes; ++k) PlaceMaps(stage, k);
}

StageProgram Assemble(const Stage& stage) {
  StageProgram program = {stage.header, {}, {}};
  for (size_t i = 0; i < stage.ops.size(); ++i) {
    StageOp op = stage.ops[i];
    const std::vector<uint8_t> bytes = stage.filters[i].Packed();
    op.filter_bytes = static_cast<int32_t>(bytes.size());
    if (op.filter_bytes > 0) op.filter_offset = static_cast<int32_t>(program.filters.size());
    program.filters.insert(program.filters.end(), bytes.begin(), bytes.end());
    program.filters.resize((program.filters.size() + 3) / 4 * 4);
    const Window& w = op.window;
    Append({op.kind, op.input0, op.input1, op.output}, &program.words);
    Append({w.kernel_height, w.kernel_width, w.stride_height, w.stride_width, w.dilation_height,
            w.dilation_width, w.pad_top, w.pad_left},
           &program.words);
    Append({op.weight_bits, op.depth_multiplier, op.filter_offset, op.filter_bytes},
           &program.words);
  }
  for (const StageMap& map : stage.maps) {
    Append({map.height, map.width, map.channels, map.cache_mode}, &program.words);
    Append({map.left_columns, map.left_offset, map.left_bytes}, &program.words);
    Append({map.top_rows, map.top_offset, map.top_bytes}, &program.words);
  }
  for (const std::vector<StageFormat>& formats : stage.formats) {
    for (const StageFormat& f : formats) {
      Append({f.bits, f.zero_point, f.clamp.min, f.clamp.max, f.scratch_offset, f.scratch_bytes},
             &program.words);
    }
  }
  std::vector<int32_t> tables;
  std::map<std::vector<int32_t>, int32_t> offsets;  // equal tables are shared
  for (const std::vector<std::vector<int32_t>>& class_tables : stage.tables) {
    for (const std::vector<int32_t>& table : class_tables) {
      const auto [entry, is_new] = offsets.insert({table, static_cast<int32_t>(tables.size())});
      if (is_new) Append(table, &tables);
      program.words.push_back(entry->second);
    }
  }
  Append(stage.patch_classes, &program.words);
  Append(tables, &program.words);
  return program;
}

}  // namespace quantmcu
