// Any words and filters as the program of a patch stage: it is refused with a sentence, or it runs and touches nothing
// that is not its own. An input is the header's 10 words, the number of program words, these words, then filters.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "tflm_kernels/portable/law/limits.h"
#include "tflm_kernels/portable/stage/read_program.h"
#include "tflm_kernels/portable/stage/run.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace quantmcu {
namespace {

constexpr size_t kHeaderWords = 11;
constexpr int64_t kMaxWork = 1 << 20;          // products, so that an execution takes milliseconds
constexpr size_t kMaxBytes = size_t{1} << 20;  // of scratch or a map

// The most that running takes, in products and copied values; far more than it really takes.
int64_t Work(const PatchStageParams& params) {
  int64_t largest_op = 1;
  for (int32_t i = 0; i < params.header.num_ops; ++i) {
    const StageOp& op = params.ops[i];
    const StageMap& output = params.maps[op.output];
    const Window& window = WindowOf(op);
    int64_t work =
        SaturatingProduct(SaturatingProduct(output.height, output.width), output.channels);
    work = SaturatingProduct(work, SaturatingProduct(window.kernel_height, window.kernel_width));
    work = SaturatingProduct(work, params.maps[op.input0].channels);
    largest_op = std::max(largest_op, work);
  }
  const StageMap& tiled = params.maps[TiledMap(params)];
  const int64_t rows = (tiled.height + params.header.tile_height - 1) / params.header.tile_height;
  const int64_t columns = (tiled.width + params.header.tile_width - 1) / params.header.tile_width;
  const int64_t tiles = SaturatingProduct(rows, columns);
  return SaturatingProduct(SaturatingProduct(tiles, params.header.num_ops), largest_op);
}

size_t MapBytes(const PatchStageParams& params, int32_t map) {
  const StageMap& shape = params.maps[map];
  return size_t(shape.height) * shape.width *
         RunBytes(shape.channels, FormatOf(params, 0, map).bits);
}

// Fills all of a region, so that asan sees where it lies.
bool FillRegion(void* context, const InputRegion& region) {
  const int32_t pixel_bytes = *static_cast<const int32_t*>(context);
  for (int32_t y = 0; y < region.height; ++y) {
    std::memset(region.pixels + int64_t{y} * region.row_bytes, 0x5A,
                size_t(region.width) * pixel_bytes);
  }
  return true;
}

void Run(const PatchStageParams& params) {
  const Kernels& kernels = reference::kKernels;
  const size_t scratch_bytes = PatchStageScratchBytes(params, kernels);
  const size_t x_bytes = MapBytes(params, 0);
  const size_t y_bytes = MapBytes(params, params.header.num_maps - 1);
  if (Work(params) > kMaxWork || std::max({scratch_bytes, x_bytes, y_bytes}) > kMaxBytes) return;
  const std::vector<uint8_t> x(x_bytes, 0x5A);
  std::vector<std::vector<uint8_t>> others;
  std::vector<const uint8_t*> addresses;
  for (int32_t m = 1; m < NumStageInputs(params.header); ++m) {
    if (MapBytes(params, m) > kMaxBytes) return;
    addresses.push_back(others.emplace_back(MapBytes(params, m), uint8_t{0x5A}).data());
  }
  const std::unique_ptr<uint8_t[]> y(new uint8_t[y_bytes]);
  const std::unique_ptr<uint8_t[]> scratch(new uint8_t[scratch_bytes]);
  int32_t pixel_bytes = RunBytes(params.maps[0].channels, FormatOf(params, 0, 0).bits);
  const StageInput input = IsStreamed(params)
                               ? StageInput(InputReader{FillRegion, &pixel_bytes}, addresses.data())
                               : StageInput(x.data(), addresses.data());
  if (PatchStage(params, kernels, input, scratch.get(), y.get()) != Status::kOk) std::abort();
}

int32_t Changed(int32_t word, std::minstd_rand* random) {
  constexpr int32_t kOdd[] = {0,    -1,  1,     2,     4,     8,         16,       127,
                              -128, 255, 32767, 32768, 65536, INT32_MAX, INT32_MIN};
  switch ((*random)() % 4) {
    case 0:
      return static_cast<int32_t>(static_cast<uint32_t>(word) + (*random)() % 5 - 2);
    case 1:
      return static_cast<int32_t>((*random)() % 18) - 1;
    case 2:
      return static_cast<int32_t>(static_cast<uint32_t>(word) ^ 1u << (*random)() % 32);
    default:
      return kOdd[(*random)() % (sizeof(kOdd) / sizeof(kOdd[0]))];
  }
}

}  // namespace
}  // namespace quantmcu

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quantmcu;  // NOLINT(build/namespaces)
  std::vector<int32_t> words(size / 4);
  if (words.size() < kHeaderWords) return -1;
  std::memcpy(words.data(), data, 4 * words.size());
  PatchStageHeader header;
  static_assert(sizeof(header) == 4 * (kHeaderWords - 1), "the header is 10 words");
  std::memcpy(&header, words.data(), sizeof(header));
  const size_t num_words =
      std::min<size_t>(static_cast<uint32_t>(words[kHeaderWords - 1]), words.size() - kHeaderWords);
  const std::vector<int32_t> program(words.begin() + kHeaderWords,
                                     words.begin() + kHeaderWords + num_words);
  const std::vector<uint8_t> filters(data + 4 * (kHeaderWords + num_words), data + size);
  // As the options' reader has them (micro/patch_stage.cc).
  if (header.tile_height < 1 || header.tile_height > kMaxExtent || header.tile_width < 1 ||
      header.tile_width > kMaxExtent) {
    return -1;
  }
  PatchStageParams params;
  StageError error = {};
  if (ReadPatchStageProgram(header, program.data(), static_cast<int32_t>(program.size()),
                            filters.data(), static_cast<int32_t>(filters.size()),
                            reference::kKernels, &params, &error)) {
    Run(params);
  } else if (error.item == nullptr || error.message == nullptr) {
    std::abort();
  }
  return 0;
}

// Half of the time whole words change, so that lengths stay right.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  std::minstd_rand random(seed);
  if (size < 4 || random() % 2 == 0) return LLVMFuzzerMutate(data, size, max_size);
  for (uint32_t count = 1 + random() % 3; count > 0; --count) {
    int32_t word;
    uint8_t* place = data + 4 * (random() % (size / 4));
    std::memcpy(&word, place, 4);
    word = quantmcu::Changed(word, &random);
    std::memcpy(place, &word, 4);
  }
  return size;
}
