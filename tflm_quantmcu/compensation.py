"""Makes up for what widths below 8 bits do to a network, without training, from what its layers compute on samples.

In: an int8 model, a plan for it, inputs. Out: the plan with bias corrections, and with weights below 8 bits that are
rounded for the least change of what their layers compute.

Layers are taken in execution order, each on inputs that the layers before it made as planned. A correction is the mean
of what a channel should sum up less the mean of what it does; both are linear in the mean inputs of each tap, so that
they follow from those. Layers behind the lowered ones are corrected too, for errors add up.

Source: empirical bias correction of data-free quantisation (arXiv 1906.04721); for weights see `rounding.py`. Ours: one
set of corrections a patch class; weights, which the classes share, are rounded for the mean of both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from tflm_quantmcu.cost import op_macs
from tflm_quantmcu.layer_moments import Moments, StoredMap, grouped_weights, mean_sums, moments_of, ungrouped
from tflm_quantmcu.lowering import CONVOLUTIONS, LoweredOp, lower_op, lower_planned, why_unsupported
from tflm_quantmcu.precision_plan import PatchClass, PrecisionPlan, RoundedWeights, StagePlan
from tflm_quantmcu.rounding import fit_weights, round_weights
from tflm_quantmcu.simulate import FeatureMaps, known_maps, run_op
from tflm_quantmcu.stage_geometry import stage_ops
from tflm_quantmcu.types import Format, ModelGraph, Op

# At most so many samples, and fewer as long as they take more MACs than this; at least so many.
MAX_SAMPLES, MAX_MACS, MIN_SAMPLES = 64, 1 << 30, 4
RIDGE = 0.01  # of an input's mean variance; K inputs of N values add K / N, lest noise be fitted
# Of an input's mean square: a variance below that is what rounding leaves of a constant.
_CONSTANT = 1e-9
_DIGITS = 6  # significant ones of a correction


def compensate(graph: ModelGraph, plan: PrecisionPlan, samples: np.ndarray, *, mode: str = "weights") -> PrecisionPlan:
    """The plan with what makes up for its widths; what it had of that is replaced.

    Args:
      graph: the int8 model.
      plan: for that model.
      samples: [N, ...], inputs of the model's type; some of them are used.
      mode: `off`, `bias`, or `weights`: rounded weights and biases.
    """
    plan = without_compensation(plan)
    ends = {name for stage in plan.stages for name in (stage.input, stage.output)}
    if mode == "off" or not has_low_widths(plan) or not ends <= graph.by_name.keys():
        return plan  # a plan for another model is the converter's to refuse
    x = _some(samples, sum(op_macs(graph, op) for op in graph.ops))
    walk = _Walk(graph, plan, x, rounds_weights=mode == "weights")
    for op in graph.ops:
        walk.step(op)
    return walk.compensated()


def with_room(graph: ModelGraph, plan: PrecisionPlan) -> PrecisionPlan:
    """The plan with a correction wherever `compensate` finds one: its model takes as many bytes, and no samples run.

    Those are the layers of lowered weights and all behind lowered maps, as far as the oracle knows what they read;
    patch classes whose maps were lowered alike so far have the same ones.
    """
    plan = without_compensation(plan)
    inside = {op.outputs[0] for stage in plan.stages for op in _ops_of(graph, stage)}
    formats = [_formats_of_class(graph, plan, number) for number in range(len(_class_shares(plan)))]
    corrections: list[dict[str, tuple[float, ...]]] = [{} for _ in formats]
    # By class: tensor -> number of all that was lowered on the way to it; missing where nothing was.
    ways: list[dict[int, int]] = [{} for _ in formats]
    numbers: dict[Hashable, int] = {}
    known = known_maps(graph, plan)
    for op in graph.ops:
        is_layer = op.kind in CONVOLUTIONS
        bits = plan.weight_bits.get(graph.tensors[op.inputs[1]].name, 8) if is_layer else 8
        read = [(bits % 8, *(way.get(t, 0) for t in op.inputs)) for way in ways]
        for way, of_class, before in zip(ways, formats, read, strict=True):
            made = (*before, *(of_class.get(graph.tensors[t].name) for t in op.outputs))
            if any(made):
                way |= dict.fromkeys(op.outputs, numbers.setdefault((op.index, made), len(numbers) + 1))
        if not is_layer or why_unsupported(graph, op) is not None or op.inputs[0] not in known:
            continue
        output = graph.tensors[op.outputs[0]]
        for corrected, before in zip(corrections, read, strict=True):
            concerns = read if output.index not in inside else [before]
            if any(map(any, concerns)):
                steps = read.index(concerns[0]) + 1
                corrected[output.name] = (steps * output.format.scale,) * output.shape[-1]
    return _with_corrections(graph, plan, corrections)


def without_compensation(plan: PrecisionPlan) -> PrecisionPlan:
    """The plan with weights rounded to the nearest and biases as they are."""
    stages = tuple(
        dataclasses.replace(stage, classes=tuple(dataclasses.replace(c, bias_corrections={}) for c in stage.classes))
        for stage in plan.stages
    )
    return dataclasses.replace(plan, stages=stages, rounded_weights={}, bias_corrections={})


def has_low_widths(plan: PrecisionPlan) -> bool:
    """Whether any map or weights have fewer than 8 bits."""
    formats = [plan.formats, *(c.formats for stage in plan.stages for c in stage.classes)]
    return any(b < 8 for b in plan.weight_bits.values()) or any(f.bits < 8 for some in formats for f in some.values())


def _some(samples: np.ndarray, macs: int) -> np.ndarray:
    """Samples spread over all of them."""
    count = min(len(samples), MAX_SAMPLES, max(MIN_SAMPLES, MAX_MACS // max(macs, 1)))
    return samples[np.linspace(0, len(samples) - 1, count).round().astype(int)]


@dataclasses.dataclass(frozen=True, eq=False)
class _Variant:
    """The network as patches of one class see it, unsplit.

    Attributes:
      number: of the class, in stages that have so many; in others of the last.
      share: of the patches.
      maps: computed so far.
      corrections: tensor name -> bias correction, found so far; `maps` are computed with them.
    """

    number: int
    share: float
    maps: FeatureMaps
    corrections: dict[str, tuple[float, ...]]


class _Walk:
    """Goes through a network op by op, the model as it is and as planned side by side."""

    def __init__(self, graph: ModelGraph, plan: PrecisionPlan, x: np.ndarray, *, rounds_weights: bool) -> None:
        self._graph = graph
        self._plan = plan
        self._rounds_weights = rounds_weights
        self._rounded: dict[str, RoundedWeights] = {}
        self._inside = {op.outputs[0] for stage in plan.stages for op in _ops_of(graph, stage)}
        self._reference = FeatureMaps(graph, PrecisionPlan(graph.sha256, {}))
        self._variants = [self._variant(number, share) for number, share in enumerate(_class_shares(plan))]
        for maps in (self._reference, *(v.maps for v in self._variants)):
            maps.put(graph.inputs[0], x, is_planned=False)

    def _variant(self, number: int, share: float) -> _Variant:
        corrections: dict[str, tuple[float, ...]] = {}
        plan = PrecisionPlan(
            self._graph.sha256,
            {},
            formats=_formats_of_class(self._graph, self._plan, number),
            weight_bits=self._plan.weight_bits,
            rounded_weights=self._rounded,
            bias_corrections=corrections,
        )
        return _Variant(number, share, FeatureMaps(self._graph, plan), corrections)

    def step(self, op: Op) -> None:
        """Finds what makes up for an op's widths and runs it."""
        source = op.inputs[0] if op.inputs else -1
        has_weights = op.kind in CONVOLUTIONS and why_unsupported(self._graph, op) is None
        if has_weights and all(source in m.planned for m in (self._reference, *(v.maps for v in self._variants))):
            self._compensate(op)
        for maps in (self._reference, *(v.maps for v in self._variants)):
            run_op(maps, op)
            for tensor in self._graph.feature_maps(op):
                if self._graph.consumers[tensor][-1].index == op.index:
                    maps.forget(tensor)

    def _compensate(self, op: Op) -> None:
        weights, output = (self._graph.tensors[t] for t in (op.inputs[1], op.outputs[0]))
        bits = self._plan.weight_bits.get(weights.name, 8)
        if bits == 8 and all(self._is_as_before(v, op.inputs[0]) for v in self._variants):
            return
        own = lower_op(self._graph, op)
        weights_wanted = grouped_weights(own)
        rounds = bits < 8 and self._rounds_weights and weights.name not in self._rounded
        moments = [self._moments(v, own, with_products=rounds) for v in self._variants]
        if rounds:
            shares = [v.share for v in self._variants]
            self._rounded |= _round(own, weights.name, weights_wanted, moments, shares, bits)
        planned = grouped_weights(lower_planned(self._graph, op, self._variants[0].maps.plan))
        found = [mean_sums(weights_wanted, m.mean) - mean_sums(planned, m.planned_mean) for m in moments]
        if output.index not in self._inside:
            mean = sum(v.share * correction for v, correction in zip(self._variants, found, strict=True))
            found = [mean] * len(found)
        for variant, correction in zip(self._variants, found, strict=True):
            variant.corrections[output.name] = tuple(float(f"{value:.{_DIGITS}g}") for value in correction.tolist())

    def _is_as_before(self, variant: _Variant, tensor: int) -> bool:
        if self._graph.tensors[tensor].name in variant.maps.plan.formats:
            return False
        return np.array_equal(variant.maps.planned[tensor], self._reference.planned[tensor])

    def _moments(self, variant: _Variant, op: LoweredOp, *, with_products: bool) -> Moments:
        tensor = self._graph.tensors[op.inputs[0]]
        format = variant.maps.plan.formats.get(tensor.name, tensor.format)
        return moments_of(
            op,
            StoredMap(self._reference.planned[tensor.index], tensor.format),
            StoredMap(variant.maps.planned[tensor.index], format),
            self._graph.tensors[op.output].shape[1:3],
            with_products=with_products,
        )

    def compensated(self) -> PrecisionPlan:
        """The plan with all that was found."""
        plan = _with_corrections(self._graph, self._plan, [v.corrections for v in self._variants])
        return dataclasses.replace(plan, rounded_weights=self._rounded)


def _with_corrections(
    graph: ModelGraph, plan: PrecisionPlan, corrections: Sequence[Mapping[str, tuple[float, ...]]]
) -> PrecisionPlan:
    """The plan with those of each class number in its stages, and with the first ones outside."""
    inside: set[str] = set()
    stages = []
    for stage in plan.stages:
        names = {graph.tensors[op.outputs[0]].name for op in _ops_of(graph, stage)}
        classes = [
            dataclasses.replace(c, bias_corrections=_only(corrections[number], names))
            for number, c in enumerate(stage.classes)
        ]
        stages.append(dataclasses.replace(stage, classes=tuple(classes)))
        inside |= names
    outside = corrections[0].keys() - inside
    return dataclasses.replace(plan, stages=tuple(stages), bias_corrections=_only(corrections[0], outside))


def _only(corrections: Mapping[str, tuple[float, ...]], names: AbstractSet[str]) -> dict[str, tuple[float, ...]]:
    return {name: values for name, values in corrections.items() if name in names and any(values)}


def _ops_of(graph: ModelGraph, stage: StagePlan) -> Sequence[Op]:
    return stage_ops(graph, *(graph.by_name[name].index for name in (stage.input, stage.output)))


def _class_shares(plan: PrecisionPlan) -> list[float]:
    """Of each class number, the mean over the stages; where classes are chosen at run time all are counted ordinary."""
    number = max((len(stage.classes) for stage in plan.stages), default=1)
    shares = np.zeros(number)
    for stage in plan.stages:
        shares[: len(stage.classes)] += stage.class_shares()
    return (shares / shares.sum()).tolist() if plan.stages else [1.0]


def _formats_of_class(graph: ModelGraph, plan: PrecisionPlan, number: int) -> dict[str, Format]:
    """Formats of all maps as patches of a class see them; a PAD that is folded into a window has its input's."""
    formats = dict(plan.formats)
    for stage in plan.stages:
        formats |= _class(stage, number).formats
        for op in _ops_of(graph, stage):
            source, output = (graph.tensors[t].name for t in (op.inputs[0], op.outputs[0]))
            if op.pads and source in formats and output not in formats:
                formats[output] = formats[source]
    return formats


def _class(stage: StagePlan, number: int) -> PatchClass:
    return stage.classes[min(number, len(stage.classes) - 1)]


def _round(
    op: LoweredOp, name: str, weights: np.ndarray, moments: Sequence[Moments], shares: Sequence[float], bits: int
) -> dict[str, RoundedWeights]:
    """Weights [G, O, K] rounded for the mean of the patch classes; nothing, so to the nearest, where that has none."""
    cross = sum(share * m.cross for share, m in zip(shares, moments, strict=True) if m.cross is not None)
    gram = sum(share * m.gram for share, m in zip(shares, moments, strict=True) if m.gram is not None)
    assert isinstance(gram, np.ndarray)
    square = sum(share * np.mean(m.planned_mean**2, axis=1) for share, m in zip(shares, moments, strict=True))
    ridge = _ridge(gram, np.asarray(square), moments[0].count)
    try:
        q, scales = round_weights(fit_weights(weights, cross + ridge, gram + ridge), gram + ridge, bits)
    except np.linalg.LinAlgError:
        return {}
    return {name: RoundedWeights.of(bits, scales, ungrouped(op, q))}


def _ridge(gram: np.ndarray, square: np.ndarray, count: int) -> np.ndarray:
    """What is added to covariances [G, K, K] of inputs with these squared means [G], averaged over the inputs, from
    `count` values each: it holds weights to what they were, wholly where inputs never change."""
    taps = gram.shape[1]
    variance = np.trace(gram, axis1=1, axis2=2) / taps
    floor = np.maximum(variance, _CONSTANT * (variance + square))
    return np.where(floor > 0, (RIDGE + taps / count) * floor, 1.0)[:, None, None] * np.eye(taps)
