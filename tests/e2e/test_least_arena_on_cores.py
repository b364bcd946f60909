"""The least arena that is predicted for a core is the least one in which the real TFLM prepares the model in QEMU."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import shared_data
from tests.support.plans import split
from tflm_quantmcu.arena.machine import CORTEX_M
from tflm_quantmcu.arena.persistent import replay_allocation
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.graph.target import Target
from tflm_quantmcu.tflite.reader import read_model
from tools.qemu_run import parse_results, run_image

ROOT = Path(__file__).resolve().parents[2]
CORES = ("cortex-m4", "cortex-m55")
# In place of the project's own: whether TFLM prepares the model in so many bytes, and in 16 less.
MAIN = """
#include "model_model_data.h"
#include "model_ops.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_kernels/boards/report.h"

alignas(16) uint8_t arena[{num_bytes}] __attribute__((section(".arena")));

bool Prepares(size_t num_bytes) {{
  model::OpResolver resolver;
  if (model::RegisterOps(resolver) != kTfLiteOk) return false;
  tflite::MicroInterpreter interpreter(tflite::GetModel(g_model_model_data), resolver, arena, num_bytes);
  return interpreter.AllocateTensors() == kTfLiteOk;
}}

int main() {{
  const bool is_enough = Prepares(sizeof(arena));
  quantmcu::ReportCount("ENOUGH", is_enough);
  quantmcu::ReportCount("LESS", Prepares(sizeof(arena) - 16));
  return 0;
}}
"""


@functools.cache
def tflm_settings() -> dict[str, str]:
    tflm = os.environ.get("TFLM_DIR")
    if not tflm:
        pytest.skip("TFLM_DIR is not set: the least arena is not tried on Cortex-M")
    downloads = os.environ.get("TFLM_DOWNLOADS", f"{tflm}/tensorflow/lite/micro/tools/make/downloads")
    return {"TFLM_DIR": tflm, "TFLM_DOWNLOADS": downloads}


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("objects")


def prepares(model: bytes, core: str, num_bytes: int, folder: Path, objects: Path) -> dict[str, str]:
    """Builds and runs the program above."""
    emit(model, output_dir=folder, target="tflm", core=core, name="model")
    (folder / "main.cc").write_text(MAIN.format(num_bytes=num_bytes))
    short = core.removeprefix("cortex-")
    settings = {"QUANTMCU_DIR": ROOT, "OBJECT_DIR": objects / core, "CXXFLAGS": "-O1", "PYTHON": sys.executable}
    command = ["make", "-s", "-j2", "-C", str(folder), f"build/{short}/main"]
    command += [f"{key}={value}" for key, value in {**settings, **tflm_settings()}.items()]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-2000:]
    return parse_results(run_image(folder / f"build/{short}/main", core=short).output)


def model_of(name: str) -> bytes:
    model = shared_data.model(name.removesuffix(" in patches"))
    return convert_model(model, split(read_model(model))) if name.endswith("in patches") else model


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", ("ad01_int8", "hello_world_int8", *shared_data.CONVOLUTIONAL))
def test_stock_models(name: str, core: str, objects: Path, tmp_path: Path) -> None:
    assert_least(model_of(name), core, objects, tmp_path)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("name", [f"{name} in patches" for name in shared_data.CONVOLUTIONAL])
def test_models_in_patches(name: str, core: str, objects: Path, tmp_path: Path) -> None:
    assert_least(model_of(name), core, objects, tmp_path)


def assert_least(model: bytes, core: str, objects: Path, folder: Path) -> None:
    tflm_settings()
    (variant,) = Target.of(core).variants
    found = replay_allocation(read_model(model), CORTEX_M, variant)
    assert found.is_exact
    results = prepares(model, core, found.needed_bytes, folder, objects)
    assert (results["ENOUGH"], results["LESS"]) == ("1", "0")
