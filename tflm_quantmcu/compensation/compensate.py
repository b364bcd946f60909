"""Makes up for what widths below 8 bits do to a network, without training, from what its layers compute on samples.

In: an int8 model, a plan for it, inputs. Out: the plan with bias corrections, and with weights that are fitted and
rounded for the least change of what their layers compute.

Layers are taken in execution order, each on inputs that the layers before it made as planned: those of lowered weights
and all behind lowered maps, for errors add up. Weights of 8 bits are fitted like others: what a narrow map lost is made
up for by all that still read something of it. A correction is the mean of what a channel should sum up less the mean of
what it does; both are linear in the mean inputs of each tap, so that they follow from those.

Source: empirical bias correction of data-free quantisation (arXiv 1906.04721); for weights see `rounding.py`. Ours: one
set of corrections a patch class; weights, which the classes share, are rounded for the mean of both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from tflm_quantmcu.compensation.lowered_paths import changed_layers, class_formats, class_shares, ops_of, tensors_inside
from tflm_quantmcu.compensation.moments import (
    Moments,
    StoredMap,
    filter_of,
    grouped_weights,
    mean_sums,
    moments_of,
    ungrouped,
)
from tflm_quantmcu.compensation.rounding import fit_weights, round_weights
from tflm_quantmcu.graph.precision_plan import PrecisionPlan, RoundedWeights
from tflm_quantmcu.graph.types import Format, ModelGraph, Op
from tflm_quantmcu.host.kernels import HOST_LAWS
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.oracle.simulate import FeatureMaps, run_op

# At most so many samples, and fewer as long as they take more MACs than this; at least so many.
MAX_SAMPLES, MAX_MACS, MIN_SAMPLES = 64, 1 << 34, 4
RIDGE = 0.01  # of an input's mean variance; K inputs of N values add K / N, lest noise be fitted
# Of an input's mean square: a variance below that is what rounding leaves of a constant.
_CONSTANT = 1e-9
_DIGITS = 6  # significant ones of a correction
_MAX_BIAS = 1 << 30  # steps that a corrected bias may have, if it has not more already; half of int32


def compensate(graph: ModelGraph, plan: PrecisionPlan, samples: np.ndarray, *, mode: str = "weights") -> PrecisionPlan:
    """The plan with what makes up for its widths; what it had of that is replaced.

    Args:
      graph: the int8 model.
      plan: for that model.
      samples: [N, ...], inputs of the model's type; some of them are used.
      mode: `off`, `bias`, or `weights`: rounded weights and biases.
    """
    plan = without_compensation(plan)
    ends = {name for stage in plan.stages for name in (*stage.inputs, stage.output)}
    if mode == "off" or not has_low_widths(plan) or not ends <= graph.by_name.keys():
        return plan  # a plan for another model is the converter's to refuse
    x = samples[compensated_with(len(samples), LoweredNetwork.of(graph).total_macs)]
    walk = _Walk(graph, plan, x, rounds_weights=mode == "weights")
    for op in graph.ops:
        walk.step(op)
    return walk.compensated()


def with_room(graph: ModelGraph, plan: PrecisionPlan, *, mode: str = "weights") -> PrecisionPlan:
    """The plan with a correction wherever `compensate` finds one, and the model's weights where it fits those of 8
    bits: its model takes as many bytes, and no samples run.

    Corrections are a few steps of a bias, towards 0, so that none leaves int32; patch classes have the same ones where
    `compensate` finds the same.

    Args:
      graph, plan, mode: as of `compensate`.
    """
    if mode == "off":
        return without_compensation(plan)
    plan = without_compensation(plan)
    formats, network = class_formats(graph, plan), LoweredNetwork.of(graph)
    corrections: list[dict[str, tuple[float, ...]]] = [{} for _ in formats]
    kept: dict[str, RoundedWeights] = {}
    for index, numbers in changed_layers(graph, plan).items():
        op = graph.ops[index]
        source, weights, output = (graph.tensors[t] for t in (*op.inputs[:2], op.outputs[0]))
        filter = filter_of(network.lower(op, weight_bits=plan.weight_bits.get(weights.name, 8)))
        if mode == "weights" and filter.bits == 8 and _is_fitted(graph, op):
            kept[weights.name] = RoundedWeights.of(8, filter.scales, filter.values)
        for corrected, of_class, number in zip(corrections, formats, numbers, strict=True):
            if number:
                step = of_class.get(source.name, source.format).scale * filter.scales.astype(np.float64)
                corrected[output.name] = tuple((-np.copysign(number, filter.bias) * step).tolist())
    return dataclasses.replace(_with_corrections(graph, plan, corrections), rounded_weights=kept)


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


def compensated_with(num_samples: int, macs: int) -> np.ndarray:
    """Indices int64 [n] of the samples that are used, spread over all; `macs` are of one run of the model."""
    count = min(num_samples, MAX_SAMPLES, max(MIN_SAMPLES, MAX_MACS // max(macs, 1)))
    return np.linspace(0, num_samples - 1, count).round().astype(int)


@dataclasses.dataclass(frozen=True, eq=False)
class _Variant:
    """The network as patches of one class see it, unsplit.

    Attributes:
      share: of the patches.
      maps: computed so far.
      corrections: tensor name -> bias correction, found so far; `maps` are computed with them.
    """

    share: float
    maps: FeatureMaps
    corrections: dict[str, tuple[float, ...]]


class _Walk:
    """Goes through a network op by op, the model as it is and as planned side by side."""

    def __init__(self, graph: ModelGraph, plan: PrecisionPlan, x: np.ndarray, *, rounds_weights: bool) -> None:
        self._graph = graph
        self._network = LoweredNetwork.of(graph)
        self._plan = plan
        self._rounds_weights = rounds_weights
        self._rounded: dict[str, RoundedWeights] = {}
        self._inside = tensors_inside(graph, plan)
        self._changed = changed_layers(graph, plan)
        self._reference = FeatureMaps(graph, PrecisionPlan(graph.sha256, {}), HOST_LAWS)
        views = zip(class_shares(plan), class_formats(graph, plan), strict=True)
        self._variants = [self._variant(share, formats) for share, formats in views]
        for maps in (self._reference, *(v.maps for v in self._variants)):
            maps.put(graph.inputs[0], x, is_planned=False)

    def _variant(self, share: float, formats: Mapping[str, Format]) -> _Variant:
        corrections: dict[str, tuple[float, ...]] = {}
        plan = PrecisionPlan(
            self._graph.sha256,
            {},
            formats=formats,
            weight_bits=self._plan.weight_bits,
            rounded_weights=self._rounded,
            bias_corrections=corrections,
        )
        return _Variant(share, FeatureMaps(self._graph, plan, HOST_LAWS), corrections)

    def step(self, op: Op) -> None:
        """Finds what makes up for an op's widths and runs it."""
        source = op.inputs[0] if op.inputs else -1
        if op.index in self._changed and all(
            source in m.planned for m in (self._reference, *(v.maps for v in self._variants))
        ):
            self._compensate(op)
        for maps in (self._reference, *(v.maps for v in self._variants)):
            run_op(maps, op)
            for tensor in self._graph.feature_maps(op):
                if self._graph.consumers[tensor][-1].index == op.index:
                    maps.forget(tensor)

    def _compensate(self, op: Op) -> None:
        weights, output = (self._graph.tensors[t] for t in (op.inputs[1], op.outputs[0]))
        bits = min(self._plan.weight_bits.get(weights.name, 8), weights.weight_bits)
        own = self._network.lower(op)
        is_free = weights.name not in self._rounded and (bits < weights.weight_bits or _is_fitted(self._graph, op))
        rounds = self._rounds_weights and is_free
        moments = [self._moments(v, own, with_products=rounds) for v in self._variants]
        if rounds:
            rounded = self._round(own, moments, bits)
            self._rounded |= {} if rounded is None else {weights.name: rounded}
        lowered = self._network.lower_planned(op, self._variants[0].maps.plan)
        wanted, planned = grouped_weights(own), grouped_weights(lowered)
        found = [mean_sums(wanted, m.mean) - mean_sums(planned, m.planned_mean) for m in moments]
        if output.index not in self._inside:
            mean = sum(v.share * correction for v, correction in zip(self._variants, found, strict=True))
            found = [mean] * len(found)
        for variant, number, correction in zip(self._variants, self._changed[op.index], found, strict=True):
            if number:
                kept = _within_int32(lowered, self._format(variant, op.inputs[0]).scale, correction)
                variant.corrections[output.name] = tuple(float(f"{v:.{_DIGITS}g}") for v in kept.tolist())

    def _round(self, op: LoweredOp, moments: Sequence[Moments], bits: int) -> RoundedWeights | None:
        """Weights rounded for the mean of the patch classes; None where that tells nothing."""
        cross, gram = _products(moments, [v.share for v in self._variants])
        try:
            fitted = fit_weights(grouped_weights(op), cross, gram)
            scales = None
            if bits == 8:
                scales = _scales_of_8_bits(op, fitted, min(self._format(v, op.inputs[0]).scale for v in self._variants))
            q, scales = round_weights(fitted, gram, bits, scales)
        except np.linalg.LinAlgError:
            return None
        is_one = bits == 8 and filter_of(op).scales.size == 1
        return RoundedWeights.of(bits, scales.ravel()[:1] if is_one else scales, ungrouped(op, q))

    def _moments(self, variant: _Variant, op: LoweredOp, *, with_products: bool) -> Moments:
        tensor = self._graph.tensors[op.inputs[0]]
        return moments_of(
            op,
            StoredMap(self._reference.planned[tensor.index], tensor.format),
            StoredMap(variant.maps.planned[tensor.index], self._format(variant, tensor.index)),
            self._graph.tensors[op.output].shape[1:3],
            with_products=with_products,
        )

    def _format(self, variant: _Variant, tensor: int) -> Format:
        read = self._graph.tensors[tensor]
        return variant.maps.plan.formats.get(read.name, read.format)

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
        names = {graph.tensors[op.outputs[0]].name for op in ops_of(graph, stage)}
        classes = [
            dataclasses.replace(c, bias_corrections=_only(corrections[number], names))
            for number, c in enumerate(stage.classes)
        ]
        stages.append(dataclasses.replace(stage, classes=tuple(classes)))
        inside |= names
    outside = corrections[0].keys() - inside
    return dataclasses.replace(plan, stages=tuple(stages), bias_corrections=_only(corrections[0], outside))


def _only(corrections: Mapping[str, tuple[float, ...]], names: AbstractSet[str]) -> dict[str, tuple[float, ...]]:
    return {name: values for name, values in corrections.items() if name in names}


def _within_int32(op: LoweredOp, input_scale: float, correction: np.ndarray) -> np.ndarray:
    """The part of a correction, real values [O], that leaves the bias in int32."""
    filter = filter_of(op)
    own = filter.bias * (filter.model_input_scale * filter.model_scales.astype(np.float64))
    limit = np.maximum(_MAX_BIAS * input_scale * filter.scales.astype(np.float64), np.abs(own))
    return np.clip(correction, -limit - own, limit - own)


def _is_fitted(graph: ModelGraph, op: Op) -> bool:
    """Whether weights of 8 bits may change: no op but this one reads them, and the file has none of 4."""
    return len(graph.consumers[op.inputs[1]]) == 1 and graph.tensors[op.inputs[1]].weight_bits == 8


def _scales_of_8_bits(op: LoweredOp, weights: np.ndarray, input_scale: float) -> np.ndarray:
    """Scales float32 [G, O] that reach the largest of weights [G, O, K], one for all where the op has one; no less than
    what the bias needs, in its steps of `input_scale` times these, and as they were where all weights are 0."""
    filter = filter_of(op)
    bias = filter.bias * (filter.model_input_scale * filter.model_scales.astype(np.float64))
    largest = np.abs(weights).max(axis=2) / 127
    own = np.broadcast_to(filter.model_scales, bias.shape).reshape(largest.shape)
    least = (np.abs(bias) / (_MAX_BIAS * input_scale)).reshape(largest.shape)
    scales = np.maximum(np.where(largest > 0, largest, own), least)
    return (np.full_like(scales, scales.max()) if filter.scales.size == 1 else scales).astype(np.float32)


def _products(moments: Sequence[Moments], shares: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Cross and gram float64 [G, K, K] of the mean of the patch classes, with the ridge that holds weights."""
    cross = sum(share * m.cross for share, m in zip(shares, moments, strict=True) if m.cross is not None)
    gram = sum(share * m.gram for share, m in zip(shares, moments, strict=True) if m.gram is not None)
    square = sum(share * np.mean(m.planned_mean**2, axis=1) for share, m in zip(shares, moments, strict=True))
    assert isinstance(gram, np.ndarray)
    ridge = _ridge(gram, np.asarray(square), moments[0].count)
    return cross + ridge, gram + ridge


def _ridge(gram: np.ndarray, square: np.ndarray, count: int) -> np.ndarray:
    """What is added to covariances [G, K, K] of inputs with these squared means [G], averaged over the inputs, from
    `count` values each: it holds weights to what they were, wholly where inputs never change."""
    taps = gram.shape[1]
    variance = np.trace(gram, axis1=1, axis2=2) / taps
    floor = np.maximum(variance, _CONSTANT * (variance + square))
    return np.where(floor > 0, (RIDGE + taps / count) * floor, 1.0)[:, None, None] * np.eye(taps)
