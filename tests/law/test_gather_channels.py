"""Law A27: the worked example of docs/arithmetic.md."""

from __future__ import annotations

import numpy as np

from tests.test_laws import table_rows
from tflm_quantmcu.law.arithmetic import quantize_multiplier
from tflm_quantmcu.law.moves import gather_channels
from tflm_quantmcu.stage.program import StageFormat

OUTPUT = StageFormat(8, 0, -128, 127)
# What the words of each row of the example say.
EXAMPLES = [
    ([[1, -2], [3, 4, -5]], [1.0, 1.0], [0, 0], [(3, 2), (0, 1)]),
    ([[10, 20], [7]], [0.5, 1.0], [10, 0], [(2, 1), (0, 2)]),
]


def test_the_worked_example():
    rows = table_rows("arithmetic.md", "inputs", "runs", "output")
    assert len(rows) == len(EXAMPLES)
    for (shown, runs_text, output), (inputs, ratios, zeros, runs) in zip(rows, EXAMPLES, strict=True):
        assert runs_text == ", ".join(map(str, runs)) and str(inputs[0][0]) in shown
        table = np.array([*map(quantize_multiplier, ratios), *runs], np.int32).ravel()
        maps = [np.array(x, np.int8).reshape(1, 1, 1, -1) for x in inputs]
        found = gather_channels(maps, table, zeros_in=zeros, output=OUTPUT)
        assert found.ravel().tolist() == [int(v) for v in output.split(",")]
