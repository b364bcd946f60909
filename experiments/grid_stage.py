"""A stage in a grid of patches, as papers split networks: no planner, no search."""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.graph.precision_plan import PatchClass, StagePlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.stage.build import build_program


def front_stage(graph: ModelGraph, grid: int, max_macs_ratio: float) -> StagePlan:
    """The longest stage from the first convolution or pool on whose patches, recomputed, keep the ratio.

    Args:
      graph: an int8 model.
      grid: patches along each axis.
      max_macs_ratio: bound on the MACs of the stage over those of its ops unsplit.

    Raises:
      UsageError: there is none.
    """
    first = next(op for op in graph.ops if op.window is not None)
    source = graph.tensors[first.inputs[0]].name
    for op in reversed(graph.ops[first.index :]):
        shape = graph.tensors[op.outputs[0]].shape
        if len(shape) != 4 or min(shape[1:3]) < 2:
            continue
        height, width = (-(-extent // grid) for extent in shape[1:3])
        rows, cols = -(-shape[1] // height), -(-shape[2] // width)
        classes = (PatchClass("outlier", {}),)
        stage = StagePlan(source, graph.tensors[op.outputs[0]].name, height, width, ((0,) * cols,) * rows, classes)
        whole = dataclasses.replace(stage, tile_height=shape[1], tile_width=shape[2], patch_classes=((0,),))
        try:
            macs = [build_program(graph, s, weight_bits={}, formats={}).cost.macs for s in (stage, whole)]
        except UnsupportedModelError:
            continue
        if macs[0] <= max_macs_ratio * macs[1]:
            return stage
    raise UsageError(f"no stage of {grid} x {grid} patches takes at most {max_macs_ratio} times the MACs")
