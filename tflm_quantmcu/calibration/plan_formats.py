"""What a plan says of each position of a feature map, and the same plan for another model of the same structure.

In: ModelGraph and PrecisionPlan. Out: formats and patch classes by position; a renewed plan.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.calibration.outliers import rule_in
from tflm_quantmcu.graph.precision_plan import OutlierRule, PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.graph.types import Format, ModelGraph, Tensor
from tflm_quantmcu.stage.geometry import planned_ops


def planned_formats(graph: ModelGraph, plan: PrecisionPlan, tensor: Tensor) -> tuple[list[Format], np.ndarray | None]:
    """The distinct formats that the plan gives a map, and the index of each position's among them, int [H, W]; None if
    all agree."""
    for stage in plan.stages:
        inner = {op.outputs[0] for op in planned_ops(graph, stage)} - {graph.by_name[stage.output].index}
        if tensor.index in inner:
            by_class = [c.formats.get(tensor.name, tensor.format) for c in stage.classes]
            distinct = list(dict.fromkeys(by_class))
            if len(distinct) == 1:
                return distinct, None
            classes = position_classes(graph, stage, tensor)
            return distinct, np.array([distinct.index(f) for f in by_class])[classes]
    return [plan.formats.get(tensor.name, tensor.format)], None


def position_classes(graph: ModelGraph, stage: StagePlan, tensor: Tensor) -> np.ndarray:
    """The index of the patch class, int [H, W], that stands for each position of a map inside a stage.

    Neighbouring patches both compute the halo between them, each in its own class' format. Here, and that is our rule,
    a position has the class of the one patch in which it lies when the map is laid over the stage's output; where
    classes are chosen at run time, the last one, ordinary.
    """
    axes = []
    output = graph.by_name[stage.output]
    for axis, tile in ((1, stage.tile_height), (2, stage.tile_width)):
        centres = (np.arange(tensor.shape[axis]) + 0.5) * output.shape[axis] / tensor.shape[axis]
        axes.append(centres.astype(int) // tile)
    return stage.expected_classes()[np.ix_(*axes)]


def renew_plan(
    plan: PrecisionPlan, old: ModelGraph, new: ModelGraph, learned: Mapping[tuple[str, Format], Format]
) -> PrecisionPlan:
    """The plan for another model of the same structure: names and 8-bit formats are its own, others the learned ones.

    What made up for the old model's rounding, rounded weights and bias corrections, is left out: a model that was
    trained at these widths started from them and has learned its own.

    Args:
      plan: for the old model.
      old, new: the models.
      learned: (name in the old model, planned format below 8 bits) -> the format that training led to.

    Raises:
      UnsupportedModelError: the two graphs differ in more than names and values.
    """
    place = _same_tensors(old, new)

    def name(old_name: str) -> str:
        return place[old_name].name

    def formats(planned: Mapping[str, Format]) -> dict[str, Format]:
        return {name(n): learned.get((n, f), f) if f.bits < 8 else place[n].format for n, f in planned.items()}

    def rule(stage: StagePlan) -> OutlierRule | None:
        own, renewed = old.by_name[stage.input].format, place[stage.input].format
        input_formats = plan.formats.get(stage.input, own), new_formats.get(name(stage.input), renewed)
        return stage.outliers and rule_in(stage.outliers, *input_formats)

    new_formats = formats(plan.formats)
    stages = tuple(
        dataclasses.replace(
            stage,
            outliers=rule(stage),
            input=name(stage.input),
            output=name(stage.output),
            other_inputs=tuple(map(name, stage.other_inputs)),
            classes=tuple(PatchClass(c.name, formats(c.formats)) for c in stage.classes),
            map_caches={name(n): mode for n, mode in stage.map_caches.items()},
        )
        for stage in plan.stages
    )
    return dataclasses.replace(
        plan,
        model_sha256=new.sha256,
        stages=stages,
        formats=new_formats,
        weight_bits={name(n): bits for n, bits in plan.weight_bits.items()},
        rounded_weights={},
        bias_corrections={},
    )


def _same_tensors(old: ModelGraph, new: ModelGraph) -> dict[str, Tensor]:
    """Name in the old graph -> tensor of the new one, of all feature maps and filters; biases come and go with 0."""
    pairs = [*zip(old.inputs, new.inputs, strict=False)]
    differ = len(old.ops) != len(new.ops)
    for a, b in zip(old.ops, new.ops, strict=False):
        differ |= (a.kind, a.window, a.activation, a.pads) != (b.kind, b.window, b.activation, b.pads)
        maps = [(*graph.feature_maps(op), *op.outputs) for graph, op in ((old, a), (new, b))]
        differ |= len(maps[0]) != len(maps[1])
        pairs += zip(*maps, strict=False)
        if not differ and a.traits.has_filter:
            pairs.append((a.inputs[1], b.inputs[1]))
    if differ or any(old.tensors[i].shape != new.tensors[j].shape for i, j in pairs):
        raise UnsupportedModelError(
            "the fine-tuned model converts to another graph than the model that the plan was made for; make a new plan"
        )
    return {old.tensors[i].name: new.tensors[j] for i, j in pairs}
