"""Plans whose stages read several maps, of a random network: what the planner seldom makes of one so small."""

from __future__ import annotations

import numpy as np

from tests.support.random_cnn import wide_regions
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.lowering.regions import lower_region
from tflm_quantmcu.stage.build import build_program
from tflm_quantmcu.stage.geometry import map_shape, planned_ops, tiled_tensor
from tflm_quantmcu.stage.layout import CACHE_MODES


def wide_plan(graph: ModelGraph, seed: int) -> PrecisionPlan:
    """A plan at 8 bits of as many stages of several inputs as there is room for, the longest first, in random tiles."""
    rng = np.random.default_rng(seed)
    stages: list[StagePlan] = []
    inside: set[int] = set()
    for source, target, *others in reversed(wide_regions(graph)):
        stage = StagePlan(source, target, 1, 1, ((0,),), (PatchClass("outlier", {}),), other_inputs=tuple(others))
        ops = planned_ops(graph, stage)
        if inside.isdisjoint(op.index for op in ops) and (made := _in_tiles(graph, stage, rng)):
            stages.append(made)
            inside |= {op.index for op in ops}
    return PrecisionPlan(graph.sha256, {}, stages=tuple(sorted(stages, key=lambda s: graph.by_name[s.output].index)))


def _in_tiles(graph: ModelGraph, stage: StagePlan, rng: np.random.Generator) -> StagePlan | None:
    """The stage in tiles of any size, which keep anything; None where it cannot be one."""
    height, width, _ = map_shape(graph, tiled_tensor(lower_region(graph, planned_ops(graph, stage), {})))
    tile_height, tile_width = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
    made = StagePlan(
        stage.input,
        stage.output,
        tile_height,
        tile_width,
        ((0,) * -(-width // tile_width),) * -(-height // tile_height),
        stage.classes,
        cache_mode=str(rng.choice(CACHE_MODES)),
        primed=bool(rng.integers(0, 2)),
        other_inputs=stage.other_inputs,
    )
    try:
        build_program(graph, made, weight_bits={}, formats={})
    except UnsupportedModelError:
        return None
    return made
