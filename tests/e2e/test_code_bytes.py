"""What is said of our code in flash is what the linker keeps of it in the image of an application."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

import pytest

from tests.support import networks, shared_data
from tests.support.cortex_m import skip_without_tools
from tests.support.plans import mixed, split
from tflm_quantmcu.app.code_size import code_bytes
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.graph.target import Target, short_core
from tflm_quantmcu.tflite.reader import read_model
from tools.code_table import build_libraries
from tools.qemu_run import cores

ROOT = Path(__file__).resolve().parents[2]
SMALL = networks.inverted_residual()
APPLICATION = """
#include "model.h"
alignas(16) uint8_t arena[MODEL_ARENA_BYTES];
int main() { return static_cast<int>(model::Invoke(arena)); }
"""
_INPUT = re.compile(r"^ (\.\S+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+) (\S+)$", re.MULTILINE)

MOST_KILOBYTES = {"as it came": 16, "in patches": 24}  # what code may grow to on the M4

libraries = functools.cache(build_libraries)


def linked_bytes(model: bytes, core: str, folder: Path) -> int:
    """Code of ours, and constants in it, in an image without the self-test; the model's own numbers left out."""
    emit(model, output_dir=folder, core=core, name="model", bundle=False, num_samples=1)
    (folder / "application.cc").write_text(APPLICATION)
    flags = [*cores()[short_core(core)]["flags"], "-mthumb", "-std=c++17", "-O2", "-fno-exceptions", "-fno-rtti"]
    flags += ["-ffunction-sections", "-fdata-sections", f"-I{ROOT}", f"-I{folder}"]
    sources = [str(folder / name) for name in ("model.cc", "application.cc")]
    link = ["-nostartfiles", "--specs=nosys.specs", "-Wl,--entry=main", "-Wl,--gc-sections", f"-Wl,-Map={folder}/map"]
    archives = [str(path) for path in libraries(core)]
    command = ["arm-none-eabi-g++", *flags, *sources, "-Wl,--start-group", *archives, "-Wl,--end-group", *link]
    done = subprocess.run([*command, "-o", str(folder / "image")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    placed = (folder / "map").read_text().split("Linker script and memory map", 1)[1]
    inputs = [(section, int(size, 16), name) for section, size, name in _INPUT.findall(placed)]
    ours = [n for section, n, name in inputs if ".a(" in name and "tflm_kernels/" in name and _is_kept(section)]
    calls = [n for section, n, name in inputs if section.startswith(".text") and "model::" in demangled(section)]
    assert ours
    return sum(ours) + sum(calls)


def _is_kept(section: str) -> bool:
    return section.startswith((".text", ".rodata", ".data"))


@functools.cache
def demangled(section: str) -> str:
    return subprocess.run(["c++filt", section.removeprefix(".text.")], capture_output=True, text=True).stdout


def assert_within(model: bytes, core: str, folder: Path) -> int:
    """Bytes that were found."""
    skip_without_tools()
    found = linked_bytes(model, core, folder)
    said = code_bytes(read_model(model), Target.of(core, None, "aot"))
    assert said == pytest.approx(found, rel=0.03)
    return found


@pytest.mark.parametrize("core", ("cortex-m0plus", "cortex-m4", "cortex-m55"))
@pytest.mark.parametrize("version", ("as it came", "in patches", "mixed"))
def test_a_small_network(version: str, core: str, tmp_path: Path) -> None:
    graph = read_model(SMALL)
    plans = {"in patches": lambda: split(graph), "mixed": lambda: mixed(graph, 0)}
    assert_within(convert_model(SMALL, plans[version]()) if version in plans else SMALL, core, tmp_path)


@pytest.mark.parametrize("name", shared_data.CONVOLUTIONAL)
@pytest.mark.parametrize("version", ("as it came", "in patches"))
def test_real_models(name: str, version: str, tmp_path: Path) -> None:
    model = shared_data.model(name)
    found = assert_within(
        convert_model(model, split(read_model(model))) if version == "in patches" else model, "m4", tmp_path
    )
    assert found <= 1024 * MOST_KILOBYTES[version]
