"""What a hook that does nothing costs on the real TFLM in QEMU: round all ops, stock ones too, and at each tile."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import shared_data
from tests.support.cortex_m import skip_without_tools
from tests.support.plans import split
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.tflite.reader import read_model
from tools.qemu_run import run_image
from tools.tflm_build import build_program, tflm_folders

MOST = 0.0005  # of the instructions of an inference
MAIN = """
#include "model_model_data.h"
#include "model_ops.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_kernels/boards/measure.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/micro/hook_profiler.h"

namespace tflm = quantmcu::tflm;

alignas(16) uint8_t arena[1 << 17] __attribute__((section(".arena")));
int num_calls;

void Invoke(const void* interpreter) { (*static_cast<tflm::MicroInterpreter* const*>(interpreter))->Invoke(); }

uint64_t Measure(tflm::MicroProfilerInterface* profiler, const quantmcu::Hook& hook) {
  model::OpResolver resolver;
  if (model::RegisterOps(resolver) != kTfLiteOk) return 0;
  quantmcu::SetHook(hook);
  tflm::MicroInterpreter interpreter(tflm::GetModel(g_model_model_data), resolver, arena, sizeof(arena), nullptr,
                                     profiler);
  if (interpreter.AllocateTensors() != kTfLiteOk) return 0;
  tflm::MicroInterpreter* invoked = &interpreter;
  return quantmcu::MeasureInstructions(Invoke, &invoked);
}

int main() {
  quantmcu::HookProfiler profiler;
  auto nothing = [](void*, const quantmcu::Progress&) { return true; };
  auto count = [](void*, const quantmcu::Progress&) {
    ++num_calls;
    return true;
  };
  quantmcu::ReportCount("STRAIGHT", Measure(nullptr, {}));
  quantmcu::ReportCount("HOOKED", Measure(&profiler, {nothing, nullptr}));
  Measure(&profiler, {count, nullptr});
  quantmcu::ReportCount("CALLS", num_calls);
  return 0;
}
"""


@pytest.mark.parametrize("is_split", (False, True))
def test_a_hook_costs_next_to_nothing(is_split: bool, tmp_path: Path) -> None:
    folders = tflm_folders()
    if folders is None:
        pytest.skip("TFLM_DIR is not set: the hook is not measured on the real TFLM")
    skip_without_tools()
    model = shared_data.model("kws_dscnn_int8")
    made = convert_model(model, split(read_model(model))) if is_split else model
    emit(made, output_dir=tmp_path, target="tflm", core="m4", name="model", bundle=False)
    (tmp_path / "main.cc").write_text(MAIN)
    ops = sorted({op.kind for op in read_model(made).ops if not op.kind.startswith("QMCU_")})
    found = run_image(build_program(tmp_path, "m4", folders, TFLM_OPS=" ".join(ops)), core="m4").results
    straight, hooked = int(found["STRAIGHT"]), int(found["HOOKED"])
    assert int(found["CALLS"]) >= 2 * len(read_model(made).ops)
    assert straight < hooked <= straight * (1 + MOST)
