"""Law A29: the worked example of docs/arithmetic.md."""

from __future__ import annotations

import numpy as np

from tests.test_laws import table_rows
from tflm_quantmcu.graph.types import Window
from tflm_quantmcu.law.arithmetic import quantize_multiplier
from tflm_quantmcu.law.moves import depth_to_space
from tflm_quantmcu.stage.program import StageFormat


def test_the_worked_example():
    rows = table_rows("arithmetic.md", "block", "output, row by row")
    assert len(rows) == 2
    for block, output in rows:
        height, width = (int(n) for n in block.split(" x "))
        found = depth_to_space(
            np.arange(1, 9, dtype=np.int8).reshape(1, 1, 1, 8),
            np.array(quantize_multiplier(1.0), np.int32),
            window=Window(stride_height=height, stride_width=width),
            size=(height, width),
            zero_in=0,
            output=StageFormat(8, 0, -128, 127),
        )
        text = "; ".join(", ".join(str(tuple(pixel)) for pixel in row) for row in found[0].tolist())
        assert text == output
