"""Plans for a model without a search: all at 8 bits, or everything at widths drawn from all."""

from __future__ import annotations

import dataclasses

import numpy as np

from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.graph.types import Format, ModelGraph
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.lowering.regions import lower_reduction
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.patches.planned_stage import PlannedStage
from tflm_quantmcu.patches.stage_costs import UpstreamCosts


def front_stage(graph: ModelGraph) -> StagePlan:
    """The stage that takes the least of those that begin with the first convolution or pool, or the pad before it, and
    recompute halos."""
    model = PlannedModel(graph, {}, {})
    first = next(op for op in graph.ops if op.window is not None)
    found = []
    for op in graph.ops[first.index :]:
        if lower_reduction(graph, graph.ops[first.index : op.index + 1], {}):
            break
        upstream = UpstreamCosts(model, op.index)
        for ways in upstream.ways():
            if ways.first <= first.index:
                found.append(upstream.stage(ways, int(ways.num_bytes[0].argmin())))  # choice 0 keeps nothing

    def rank(stage: PlannedStage) -> tuple[int, int]:
        """The first op, and the bytes with input and output side by side."""
        return stage.ops[0], stage.map_bytes + sum(model.tensor_bytes(t) for t in (stage.input, stage.output))

    return min(found, key=rank).plan(graph)


def split(graph: ModelGraph) -> PrecisionPlan:
    """A plan at 8 bits, with the front split."""
    return PrecisionPlan(graph.sha256, {}, stages=(front_stage(graph),))


def narrowed(format: Format, bits: int) -> Format:
    """A format about the same range in fewer bits."""
    drop = 8 - bits
    return Format(bits, float(np.float32(format.scale * 2**drop)), format.zero_point >> drop)


def mixed(graph: ModelGraph, seed: int) -> PrecisionPlan:
    """Two classes of patches, and every map and filter at a width drawn from all."""
    rng = np.random.default_rng(seed)
    able = list(filter(LoweredNetwork.of(graph).is_ours, graph.ops))
    maps = [graph.tensors[op.outputs[0]] for op in able]

    def draw() -> dict[str, Format]:
        bits = {t.name: int(rng.choice([8, 4, 2])) for t in maps}
        return {t.name: narrowed(t.format, bits[t.name]) for t in maps if bits[t.name] != 8}

    stage = front_stage(graph)
    grid = rng.integers(0, 2, (len(stage.patch_classes), len(stage.patch_classes[0])))
    stage = dataclasses.replace(
        stage,
        classes=(PatchClass("outlier", {}), PatchClass("ordinary", draw())),
        patch_classes=tuple(map(tuple, grid.tolist())),
    )
    weights = [graph.tensors[op.inputs[1]].name for op in able if op.traits.has_filter]
    return PrecisionPlan(
        graph.sha256,
        {},
        stages=(stage,),
        formats=draw(),
        weight_bits={name: int(rng.choice([8, 4, 2])) for name in weights},
    )
