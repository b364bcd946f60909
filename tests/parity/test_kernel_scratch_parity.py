"""The scratch that is planned, the kernels' own functions on the host, = what they ask for on the core, in QEMU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.cortex_m import skip_without_tools
from tflm_quantmcu.converter.emit.cpp_text import initializer
from tflm_quantmcu.graph.target import variant_of
from tflm_quantmcu.graph.types import BIT_WIDTHS, Window
from tflm_quantmcu.law.kernel_calls import Conv2DParams, DepthwiseConv2DParams, FeatureMap, FullyConnectedParams
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.native.kernel_scratch import kernel_scratch_bytes

ROOT = Path(__file__).parents[2]
SEED = 20240131
NUM_CASES = 120
KERNELS = {
    "Conv2D": Conv2DParams,
    "DepthwiseConv2D": DepthwiseConv2DParams,
    "FullyConnected": FullyConnectedParams,
}
MAKEFILE = f"""
PROGRAMS := main
TEST_PROGRAM := main
include {ROOT}/tflm_kernels/boards/project.mk
"""


def cases(kernel: str) -> list:
    rng = np.random.default_rng(SEED)
    return [draw(kernel, rng) for _ in range(NUM_CASES)]


def draw(kernel: str, rng: np.random.Generator) -> Conv2DParams | DepthwiseConv2DParams | FullyConnectedParams:
    bits, output_bits, weight_bits = (int(b) for b in rng.choice(BIT_WIDTHS, 3))
    channels, outputs = (int(n) for n in rng.choice([1, 2, 3, 7, 8, 16, 17, 33, 64, 100, 576, 1500, 70000], 2))
    kernel_size = [int(k) for k in rng.choice([1, 1, 2, 3, 5, 10], 2)]
    window = Window(
        *kernel_size, *(int(s) for s in rng.integers(1, 3, 2)), 1, 1, *(int(p) for p in rng.integers(0, 2, 2))
    )
    size = [int(n) for n in rng.integers(1, 12, 4)]

    def view(height: int, width: int, count: int, width_bits: int) -> FeatureMap:
        return FeatureMap(height, width, count, width * run_bytes(count, width_bits), width_bits, 0)

    clamp = (-(1 << (output_bits - 1)), (1 << (output_bits - 1)) - 1)
    if kernel == "FullyConnected":
        ends = view(1, 1, channels, bits), view(1, 1, outputs, output_bits)
        return FullyConnectedParams(*ends, clamp=clamp, weight_bits=weight_bits)
    if kernel == "Conv2D":
        ends = view(size[0], size[1], channels, bits), view(size[2], size[3], outputs, output_bits)
        return Conv2DParams(*ends, window=window, clamp=clamp, weight_bits=weight_bits)
    multiplier = int(rng.choice([1, 1, 2]))
    ends = view(size[0], size[1], channels, bits), view(size[2], size[3], channels * multiplier, output_bits)
    return DepthwiseConv2DParams(
        *ends, window=window, clamp=clamp, weight_bits=weight_bits, depth_multiplier=multiplier
    )


def program() -> str:
    """Prints a line for each case of each kernel."""
    tables = "\n".join(
        f"constexpr quantmcu::{params.__name__} k{kernel}[] = {{{', '.join(map(initializer, cases(kernel)))}}};"
        for kernel, params in KERNELS.items()
    )
    loops = "\n".join(
        f"for (const auto& params : k{kernel}) {{"
        f'  quantmcu::ReportCount("{kernel}", quantmcu::kernels::{kernel}ScratchBytes(params)); }}'
        for kernel in KERNELS
    )
    return f"""
#include "tflm_kernels/aot/kernels.h"
#include "tflm_kernels/boards/report.h"
{tables}
int main() {{ {loops} }}
"""


@pytest.mark.parametrize("core", ["m3", "m4", "m55"])
def test_planned_scratch_is_what_the_kernels_ask_for(core: str, tmp_path: Path) -> None:
    skip_without_tools()
    (tmp_path / "main.cc").write_text(program())
    (tmp_path / "Makefile").write_text(MAKEFILE)
    settings = {"CORE": core, "QUANTMCU_DIR": ROOT, "CXXFLAGS": "-O1 -Werror", "PYTHON": sys.executable}
    command = ["make", "-j2", "-s", "-C", str(tmp_path), "test", *(f"{k}={v}" for k, v in settings.items())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [line.split("=") for line in done.stdout.splitlines()]
    for kernel in KERNELS:
        asked = [int(value) for name, value in found if name == kernel]
        for params, value in zip(cases(kernel), asked, strict=True):
            assert kernel_scratch_bytes(variant_of(core), kernel, params) == value, f"{kernel} on {core}: {params}"
