#include "tflm_kernels/micro/input_reader.h"

namespace quantmcu {
namespace {

InputReader input_reader = {};

}  // namespace

void SetInputReader(const InputReader& reader) { input_reader = reader; }

const InputReader& GetInputReader() { return input_reader; }

}  // namespace quantmcu
