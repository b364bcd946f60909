"""Law A26 in stages: the worked example of docs/arithmetic.md."""

from __future__ import annotations

import numpy as np

from tests.test_laws import table_rows
from tflm_quantmcu.law.arithmetic import quantize_multiplier
from tflm_quantmcu.law.moves import ALIGNED_CORNERS, HALF_PIXEL_CENTRES, resize_bilinear, resize_positions
from tflm_quantmcu.stage.program import StageFormat

MODES = (HALF_PIXEL_CENTRES, ALIGNED_CORNERS, 0)


def test_the_worked_example():
    ((pixels, *outputs),) = table_rows("arithmetic.md", "pixels", "half pixel centres", "corners aligned", "neither")
    x = np.array([int(v) for v in pixels.split(",")], np.int8).reshape(1, 1, -1, 1)
    for mode, output in zip(MODES, outputs, strict=True):
        step, first = resize_positions(x.shape[2], 2 * x.shape[2], mode)
        found = resize_bilinear(
            x,
            np.array(quantize_multiplier(1.0), np.int32),
            positions=(np.zeros(1, int), np.arange(2 * x.shape[2]) * step + first),
            zero_in=0,
            output=StageFormat(8, 0, -128, 127),
        )
        assert found.ravel().tolist() == [int(v) for v in output.split(",")]
