"""The network as patches of each class see it, and which of its layers compute something else than in the int8 model.

In: an int8 model and a plan. Out: formats of each class number, and the convolutions and fully connected ops whose
weights are lowered or that lie behind lowered maps. All follows from the widths: no samples are needed.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.graph.types import Format, ModelGraph, Op
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.oracle.simulate import known_maps
from tflm_quantmcu.stage.geometry import planned_ops


def ops_of(graph: ModelGraph, stage: StagePlan) -> Sequence[Op]:
    """The ops of a stage."""
    return planned_ops(graph, stage)


def tensors_inside(graph: ModelGraph, plan: PrecisionPlan) -> set[int]:
    """What the ops of all stages write."""
    return {op.outputs[0] for stage in plan.stages for op in ops_of(graph, stage)}


def class_shares(plan: PrecisionPlan) -> list[float]:
    """The share of each class number, as the mean over the stages; where classes are chosen at run time all are counted
    ordinary."""
    number = max((len(stage.classes) for stage in plan.stages), default=1)
    shares = np.zeros(number)
    for stage in plan.stages:
        shares[: len(stage.classes)] += stage.class_shares()
    return (shares / shares.sum()).tolist() if plan.stages else [1.0]


def class_formats(graph: ModelGraph, plan: PrecisionPlan) -> list[dict[str, Format]]:
    """[class number] formats of all maps as its patches see them; a PAD that is folded into a window has its
    input's. In a stage of fewer classes the last one has all further numbers."""
    return [_formats_of(graph, plan, number) for number in range(len(class_shares(plan)))]


def _formats_of(graph: ModelGraph, plan: PrecisionPlan, number: int) -> dict[str, Format]:
    formats = dict(plan.formats)
    for stage in plan.stages:
        formats |= _class(stage, number).formats
        for op in ops_of(graph, stage):
            source, output = (graph.tensors[t].name for t in (op.inputs[0], op.outputs[0]))
            if op.pads and source in formats and output not in formats:
                formats[output] = formats[source]
    return formats


def _class(stage: StagePlan, number: int) -> PatchClass:
    return stage.classes[min(number, len(stage.classes) - 1)]


def changed_layers(graph: ModelGraph, plan: PrecisionPlan) -> dict[int, tuple[int, ...]]:
    """Op index -> [class number] 0 where the layer computes what it does in the model, else a number that classes share
    which were lowered alike up to here; outside stages 1. Layers that all classes compute as in the model are left out,
    and those that read what the oracle does not know."""
    known, network = known_maps(graph, plan), LoweredNetwork.of(graph)
    inside = tensors_inside(graph, plan)
    formats = class_formats(graph, plan)
    # By class: tensor -> number of all that was lowered on the way to it; missing where nothing was.
    ways: list[dict[int, int]] = [{} for _ in formats]
    numbers: dict[Hashable, int] = {}
    found = {}
    for op in graph.ops:
        weights = network.weights(op)
        bits = plan.weight_bits.get(weights.name, 8) if weights else 8
        read = [(bits % 8, *(way.get(t, 0) for t in op.inputs)) for way in ways]
        for way, of_class, before in zip(ways, formats, read, strict=True):
            made = (*before, *(of_class.get(graph.tensors[t].name) for t in op.outputs))
            if any(made):
                way |= dict.fromkeys(op.outputs, numbers.setdefault((op.index, made), len(numbers) + 1))
        if weights and any(map(any, read)) and network.is_ours(op) and op.inputs[0] in known:
            is_inside = op.outputs[0] in inside
            found[op.index] = tuple((read.index(r) + 1) * any(r) if is_inside else 1 for r in read)
    return found
