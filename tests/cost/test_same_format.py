"""Calls between equal formats are estimated as the copies that they are."""

from __future__ import annotations

import pytest

from tflm_quantmcu.cost.instructions import load_table
from tflm_quantmcu.cost.same_format import measured_kernel_of_options
from tflm_quantmcu.cost.shapes import KernelShape
from tflm_quantmcu.graph.target import CORES
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.tflite.operators import requantize

FORMAT = Format(8, 0.1, -3)


@pytest.mark.parametrize(
    ("target", "kernel"),
    [
        (FORMAT, "requantize_same"),
        (Format(8, 0.2, -3), "requantize"),
        (Format(8, 0.1, 4), "requantize"),
        (Format(4, 0.1, -3), "requantize"),
    ],
)
def test_an_op_of_ours_copies_where_its_format_stays(target: Format, kernel: str) -> None:
    assert measured_kernel_of_options("requantize", requantize(FORMAT, target, 8).options()) == kernel
    assert measured_kernel_of_options("max_pool2d", {}) == "max_pool2d"


@pytest.mark.parametrize("core", CORES)
def test_copies_take_less(core: str) -> None:
    table = load_table(core)
    sizes = ((20, 20, 48), (21, 21, 48))
    copied, computed = (table.estimate(KernelShape(op, *sizes), "a8") for op in ("requantize_same", "requantize"))
    assert copied < computed
