"""What a stage's patches come to on given inputs where their classes are chosen at run time."""

from __future__ import annotations

import dataclasses

import numpy as np

from tflm_quantmcu.graph.precision_plan import CHOSEN_AT_RUN_TIME
from tflm_quantmcu.law.arrays import Int8Array, Int64Array
from tflm_quantmcu.oracle.outlier_rule import holds_outliers
from tflm_quantmcu.stage.program import StageProgram


def classes_on(program: StageProgram, x: Int8Array) -> Int64Array:
    """The index of every patch's class, int64 [N, rows, cols], for values of the stage's input, int8 [N, H, W, C]."""
    grid = np.array(program.patch_classes)
    classes = np.repeat(grid[None], len(x), axis=0)
    for row, col in np.argwhere(grid == CHOSEN_AT_RUN_TIME).tolist():
        classes[:, row, col] = np.where(holds_outliers(program, row, col, x), 0, 1)
    return classes


def bit_ops_on(program: StageProgram, x: Int8Array) -> float:
    """BitOPs of the stage, the mean over values of its input, int8 [N, H, W, C]; `StageProgram.cost` has the worst
    case."""
    rows, cols = np.shape(program.patch_classes)
    by_class = [dataclasses.replace(program, patch_classes=((k,) * cols,) * rows) for k in range(len(program.formats))]
    total = 0.0
    for row, col in program.visits():
        classes = program.classes_of(row, col)
        outliers = float(holds_outliers(program, row, col, x).mean()) if len(classes) > 1 else 1.0
        for k, share in zip(classes, (outliers, 1 - outliers), strict=False):
            total += share * by_class[k].patch_cost(row, col).bit_ops
    return total
