"""The rule by which a stage chooses a patch's class at run time (docs/format.md F4), on values of its input."""

from __future__ import annotations

from tflm_quantmcu.law.arrays import BoolArray, Int8Array
from tflm_quantmcu.stage.program import StageProgram


def holds_outliers(program: StageProgram, row: int, col: int, x: Int8Array) -> BoolArray:
    """Whether a patch of each sample holds outliers by the program's rule: bool [N].

    Args:
      program: of the stage.
      row, col: of the patch.
      x: values of the stage's input, int8 [N, H, W, C].
    """
    y0, y1, x0, x1 = program.region(row, col, 0)
    values = x[:, y0:y1, x0:x1].reshape(len(x), -1)
    rule = program.outliers
    count = ((values < rule.low) | (values > rule.high)).sum(axis=1)
    return count * (1 << 16) > values.shape[1] * rule.share
