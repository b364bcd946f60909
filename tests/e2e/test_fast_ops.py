"""RegisterFastOps on the real TFLM in QEMU: the bytes of TFLM's own kernels, in an arena that keeps the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import shared_data
from tests.support.cortex_m import skip_without_tools
from tests.support.fast_op_models import computed_weights, odd_shapes
from tflm_quantmcu.arena.fast_ops import FAST_OPS
from tflm_quantmcu.converter.emit.project import emit
from tools.qemu_run import parse_results, run_image
from tools.tflm_build import build_program, tflm_folders

MAIN = """
#include <string.h>

#include "model_model_data.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/recording_micro_allocator.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/micro/fast_ops.h"

using Resolver = tflite::MicroMutableOpResolver<8>;
constexpr int kSamples = 4, kMaxOutput = 4096;

alignas(16) uint8_t arena[1 << 17] __attribute__((section(".arena")));
uint8_t outputs[2][kSamples][kMaxOutput];

struct Run {
  size_t output_bytes;
  size_t persistent_bytes;
};

bool RunModel(const Resolver& resolver, uint8_t (*outputs)[kMaxOutput], Run* run) {
  auto* allocator = tflite::RecordingMicroAllocator::Create(arena, sizeof(arena));
  tflite::MicroInterpreter interpreter(tflite::GetModel(g_model_model_data), resolver, allocator);
  if (interpreter.AllocateTensors() != kTfLiteOk) return false;
  run->output_bytes = interpreter.output(0)->bytes;
  run->persistent_bytes = allocator->GetSimpleMemoryAllocator()->GetPersistentUsedBytes();
  uint32_t random = 1;
  for (int sample = 0; sample < kSamples; ++sample) {
    for (size_t i = 0; i < interpreter.input(0)->bytes; ++i) {
      random = random * 1664525u + 1013904223u;
      interpreter.input(0)->data.raw[i] = static_cast<char>(random >> 24);
    }
    if (interpreter.Invoke() != kTfLiteOk) return false;
    memcpy(outputs[sample], interpreter.output(0)->data.raw, run->output_bytes);
  }
  return true;
}

int main() {
  Resolver stock, fast;
  bool is_ok = stock.AddConv2D() == kTfLiteOk && stock.AddDepthwiseConv2D() == kTfLiteOk &&
               stock.AddFullyConnected() == kTfLiteOk && stock.AddAdd() == kTfLiteOk &&
               stock.AddAveragePool2D() == kTfLiteOk && stock.AddMaxPool2D() == kTfLiteOk;
  is_ok = is_ok && quantmcu::RegisterFastOps(fast) == kTfLiteOk;
  for (Resolver* resolver : {&stock, &fast}) {
    is_ok = is_ok && resolver->AddReshape() == kTfLiteOk && resolver->AddSoftmax() == kTfLiteOk;
  }
  Run runs[2] = {};
  is_ok = is_ok && RunModel(stock, outputs[0], &runs[0]) && RunModel(fast, outputs[1], &runs[1]);
  quantmcu::ReportCount("OK", is_ok);
  quantmcu::ReportCount("EQUAL", memcmp(outputs[0], outputs[1], sizeof(outputs[0])) == 0);
  quantmcu::ReportCount("VARIED", memcmp(outputs[0][0], outputs[0][1], runs[0].output_bytes) != 0);
  quantmcu::ReportCount("STOCK_BYTES", static_cast<uint32_t>(runs[0].persistent_bytes));
  quantmcu::ReportCount("FAST_BYTES", static_cast<uint32_t>(runs[1].persistent_bytes));
  return 0;
}
"""


MODELS: dict[str, Callable[[], bytes]] = {
    "computed weights": computed_weights,
    "odd shapes": odd_shapes,
    **{name: lambda name=name: shared_data.model(name) for name in ("ic_resnet8_int8", "kws_dscnn_int8")},
}


@pytest.mark.parametrize("core", ("m4", "m55"))
@pytest.mark.parametrize("name", MODELS)
def test_equal_bytes_in_an_arena_that_keeps_no_more(name: str, core: str, tmp_path: Path) -> None:
    folders = tflm_folders()
    if folders is None:
        pytest.skip("TFLM_DIR is not set: RegisterFastOps is not tried on the real TFLM")
    skip_without_tools()
    emit(MODELS[name](), output_dir=tmp_path, target="tflm", core=core, name="model", bundle=False)
    (tmp_path / "main.cc").write_text(MAIN)
    image = build_program(tmp_path, core, folders, TFLM_OPS=f"{' '.join(FAST_OPS)} RESHAPE SOFTMAX")
    found = parse_results(run_image(image, core=core).output)
    assert (found["OK"], found["EQUAL"], found["VARIED"]) == ("1", "1", "1")
    assert 0 <= int(found["FAST_BYTES"]) - int(found["STOCK_BYTES"]) <= 4 * 10 + 16  # handles of scratch, and padding
