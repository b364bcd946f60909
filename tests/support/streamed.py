"""Plans whose first stage streams the network's input."""

from __future__ import annotations

import dataclasses
from typing import Any

from tests.support.plans import front_stage
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.lowering.regions import lower_region
from tflm_quantmcu.stage.geometry import map_shape, planned_ops, tiled_tensor


def streamed(plan: PrecisionPlan, **fields: Any) -> PrecisionPlan:
    """The plan with its first stage's input streamed, and other fields of that stage."""
    stage = dataclasses.replace(plan.stages[0], input_mode="streamed", **fields)
    return dataclasses.replace(plan, stages=(stage, *plan.stages[1:]))


def streamed_plan(
    graph: ModelGraph, *, tile_height: int | None = None, tile_width: int | None = None, **fields: Any
) -> PrecisionPlan:
    """A plan at 8 bits, with the front split into tiles of this size; None is the whole extent."""
    stage = front_stage(graph)
    ops = planned_ops(graph, stage)
    height, width, _ = map_shape(graph, tiled_tensor(lower_region(graph, ops, {})))
    tile_height, tile_width = tile_height or height, tile_width or width
    grid = ((0,) * -(-width // tile_width),) * -(-height // tile_height)
    plan = PrecisionPlan(graph.sha256, {}, stages=(stage,))
    return streamed(plan, tile_height=tile_height, tile_width=tile_width, patch_classes=grid, **fields)
