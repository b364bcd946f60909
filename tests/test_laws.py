"""The worked examples of the two law documents, row by row."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tflm_quantmcu.law.arithmetic import multiply, quantize_multiplier
from tflm_quantmcu.law.packing import pack, run_bytes, unpack

DOCS = Path(__file__).parents[1] / "docs"


def table_rows(document: str, *header: str) -> list[list[str]]:
    """The rows of the one table of a document that has these column titles."""
    text = (DOCS / document).read_text()
    title = re.escape("| " + " | ".join(header) + " |")
    (body,) = re.findall(title + r"\n\|[-|]+\|\n((?:\|.*\n)+)", text)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines()]


MULTIPLY_ROWS = table_rows("arithmetic.md", "x", "multiplier", "shift", "result")
PACK_ROWS = table_rows("format.md", "values", "bits", "bytes (hex)")
QUANTIZE_MULTIPLIER_ROWS = re.findall(
    r"`quantize_multiplier\(([\d.]+)\) = \((\d+), (-?\d+)\)`", (DOCS / "arithmetic.md").read_text()
)


@pytest.mark.parametrize("row", MULTIPLY_ROWS, ids=" ".join)
def test_multiply_gives_the_worked_result(row):
    x, multiplier, shift, result = (int(cell.split()[0]) for cell in row)
    assert int(multiply(x, multiplier, shift)) == result


@pytest.mark.parametrize("row", QUANTIZE_MULTIPLIER_ROWS, ids=" ".join)
def test_quantize_multiplier_gives_the_worked_result(row):
    real, multiplier, shift = row
    assert quantize_multiplier(float(real)) == (int(multiplier), int(shift))


@pytest.mark.parametrize("row", PACK_ROWS, ids=" ".join)
def test_packing_gives_the_worked_bytes(row):
    values = np.array([int(v) for v in row[0].split(",")], np.int8)
    bits = int(row[1])
    data = np.frombuffer(bytes.fromhex(row[2]), np.uint8)
    np.testing.assert_array_equal(pack(values, bits), data)
    np.testing.assert_array_equal(unpack(data, bits, len(values)), values)
    assert run_bytes(len(values), bits) == len(data)


def test_no_worked_example_is_missed():
    assert (len(MULTIPLY_ROWS), len(QUANTIZE_MULTIPLIER_ROWS), len(PACK_ROWS)) == (6, 2, 3)
