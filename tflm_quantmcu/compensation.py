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
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tflm_quantmcu.arithmetic import tap_values
from tflm_quantmcu.cost import op_macs
from tflm_quantmcu.lowering import (
    CHANNEL_AXIS,
    CONVOLUTIONS,
    Filter,
    LoweredOp,
    lower_op,
    lower_planned,
    why_unsupported,
)
from tflm_quantmcu.rounding import fit_weights, round_weights
from tflm_quantmcu.simulate import FeatureMaps, run_op
from tflm_quantmcu.stage_geometry import stage_ops
from tflm_quantmcu.types import (
    CHOSEN_AT_RUN_TIME,
    Format,
    ModelGraph,
    Op,
    PatchClass,
    PrecisionPlan,
    RoundedWeights,
    StagePlan,
)

# At most so many samples, and fewer as long as they take more MACs than this; at least so many.
MAX_SAMPLES, MAX_MACS, MIN_SAMPLES = 64, 1 << 30, 4
RIDGE = 0.01  # of an input's mean energy; K inputs of N values add K / N, lest noise be fitted
_VALUES_AT_ONCE = 1 << 22
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
    if mode == "off" or not has_low_widths(plan):
        return plan
    x = _some(samples, sum(op_macs(graph, op) for op in graph.ops))
    walk = _Walk(graph, plan, x, rounds_weights=mode == "weights")
    for op in graph.ops:
        walk.step(op)
    return walk.compensated()


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


@dataclasses.dataclass(frozen=True, eq=False)
class _Moments:
    """Of a layer's inputs in groups that the same output channels read: x of the 8-bit model, x' as planned.

    Attributes:
      mean, planned_mean: float64 [G, K].
      cross, gram: covariances E[x x'^T] and E[x' x'^T], float64 [G, K, K].
      count: of values a tap.
    """

    mean: np.ndarray
    planned_mean: np.ndarray
    cross: np.ndarray
    gram: np.ndarray
    count: int


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
        real = _grouped(own, _real_weights(own))
        rounds = bits < 8 and self._rounds_weights and weights.name not in self._rounded
        moments = [self._moments(v, own, with_products=rounds) for v in self._variants]
        if rounds:
            self._rounded[weights.name] = _round(own, real, moments, [v.share for v in self._variants], bits)
        planned = lower_planned(self._graph, op, self._variants[0].maps.plan)
        planned_real = _grouped(planned, _real_weights(planned))
        found = [_means(real, m.mean) - _means(planned_real, m.planned_mean) for m in moments]
        if output.index not in self._inside:
            mean = sum(v.share * correction for v, correction in zip(self._variants, found, strict=True))
            found = [mean] * len(found)
        for variant, correction in zip(self._variants, found, strict=True):
            variant.corrections[output.name] = tuple(float(f"{value:.{_DIGITS}g}") for value in correction.tolist())

    def _is_as_before(self, variant: _Variant, tensor: int) -> bool:
        if self._graph.tensors[tensor].name in variant.maps.plan.formats:
            return False
        return np.array_equal(variant.maps.planned[tensor], self._reference.planned[tensor])

    def _moments(self, variant: _Variant, op: LoweredOp, *, with_products: bool) -> _Moments:
        tensor = self._graph.tensors[op.inputs[0]]
        formats = tensor.format, variant.maps.plan.formats.get(tensor.name, tensor.format)
        maps = self._reference.planned[tensor.index], variant.maps.planned[tensor.index]
        size = self._graph.tensors[op.output].shape[1:3]
        at_once = max(1, _VALUES_AT_ONCE // (op.window.kernel_height * op.window.kernel_width * maps[0][0].size))
        totals: list[np.ndarray] = []
        count = 0
        for start in range(0, len(maps[0]), at_once):
            x, planned = (
                _columns(op, _real(values[start : start + at_once], format), size)
                for values, format in zip(maps, formats, strict=True)
            )
            sums = [x.sum(axis=1, dtype=np.float64), planned.sum(axis=1, dtype=np.float64)]
            if with_products:
                sums += [(values.swapaxes(1, 2) @ planned).astype(np.float64) for values in (x, planned)]
            totals = [total + part for total, part in zip(totals, sums, strict=True)] if totals else sums
            count += x.shape[1]
        means = [total / count for total in totals]
        products = [
            product - mean[:, :, None] * means[1][:, None, :]
            for product, mean in zip(means[2:], means[:2], strict=False)
        ] or [np.empty(0)] * 2
        return _Moments(means[0], means[1], products[0], products[1], count)

    def compensated(self) -> PrecisionPlan:
        """The plan with all that was found."""
        outside = {self._graph.tensors[t].name for op in self._graph.ops for t in op.outputs if t not in self._inside}
        stages = []
        for stage in self._plan.stages:
            inside = {self._graph.tensors[op.outputs[0]].name for op in _ops_of(self._graph, stage)}
            classes = [
                dataclasses.replace(c, bias_corrections=_only(self._variants[number].corrections, inside))
                for number, c in enumerate(stage.classes)
            ]
            stages.append(dataclasses.replace(stage, classes=tuple(classes)))
        return dataclasses.replace(
            self._plan,
            stages=tuple(stages),
            rounded_weights=self._rounded,
            bias_corrections=_only(self._variants[0].corrections, outside),
        )


def _only(corrections: Mapping[str, tuple[float, ...]], names: set[str]) -> dict[str, tuple[float, ...]]:
    return {name: values for name, values in corrections.items() if name in names and any(values)}


def _ops_of(graph: ModelGraph, stage: StagePlan) -> Sequence[Op]:
    return stage_ops(graph, *(graph.by_name[name].index for name in (stage.input, stage.output)))


def _class_shares(plan: PrecisionPlan) -> list[float]:
    """Of each class number, the mean over the stages; where classes are chosen at run time all are counted ordinary."""
    number = max((len(stage.classes) for stage in plan.stages), default=1)
    shares = np.zeros(number)
    for stage in plan.stages:
        grid = np.ravel(stage.patch_classes)
        grid = np.where(grid == CHOSEN_AT_RUN_TIME, len(stage.classes) - 1, grid)
        shares += np.bincount(grid, minlength=number) / grid.size
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


def _real(values: np.ndarray, format: Format) -> np.ndarray:
    return (values.astype(np.float32) - np.float32(format.zero_point)) * np.float32(format.scale)


def _columns(op: LoweredOp, x: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """What each output position reads, float32 [G, positions, K]: a group a channel of a depthwise op, else one."""
    if op.kind == "FULLY_CONNECTED":
        return x.reshape(1, len(x), -1)
    taps = np.stack([tap.reshape(-1, tap.shape[-1]) for tap in _taps(op, x, size)], axis=1)
    if op.kind == "DEPTHWISE_CONV_2D":
        return np.ascontiguousarray(taps.transpose(2, 0, 1))
    return taps.reshape(1, len(taps), -1)


def _taps(op: LoweredOp, x: np.ndarray, size: tuple[int, ...]) -> Iterator[np.ndarray]:
    return (tap for _, _, tap in tap_values(x, op.window, (size[0], size[1]), 0))


def _filter_of(op: LoweredOp) -> Filter:
    assert op.filter is not None
    return op.filter


def _real_weights(op: LoweredOp) -> np.ndarray:
    """float64, of the filter's shape."""
    filter = _filter_of(op)
    shape = [1] * filter.values.ndim
    shape[CHANNEL_AXIS[op.kind]] = -1
    return filter.values * filter.scales.astype(np.float64).reshape(shape)


def _grouped(op: LoweredOp, weights: np.ndarray) -> np.ndarray:
    """The filter as [G, O, K], in the groups of `_columns`."""
    if op.kind != "DEPTHWISE_CONV_2D":
        return weights.reshape(1, len(weights), -1)
    return weights.reshape(weights.shape[0] * weights.shape[1], -1, op.depth_multiplier).transpose(1, 2, 0)


def _ungrouped(op: LoweredOp, weights: np.ndarray) -> np.ndarray:
    """[G, O, K] in the filter's shape."""
    in_order = weights.transpose(2, 0, 1) if op.kind == "DEPTHWISE_CONV_2D" else weights
    return np.ascontiguousarray(in_order).reshape(_filter_of(op).values.shape)


def _means(weights: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Mean sums [O] of all output channels in order."""
    return (weights @ inputs[:, :, None]).ravel()


def _round(
    op: LoweredOp, real: np.ndarray, moments: Sequence[_Moments], shares: Sequence[float], bits: int
) -> RoundedWeights:
    """Weights for the mean of the patch classes."""
    cross, gram = (
        sum(share * getattr(m, name) for share, m in zip(shares, moments, strict=True)) for name in ("cross", "gram")
    )
    taps = gram.shape[1]
    energy = np.trace(gram, axis1=1, axis2=2) / taps
    ridge = np.where(energy > 0, (RIDGE + taps / moments[0].count) * energy, 1.0)[:, None, None] * np.eye(taps)
    q, scales = round_weights(fit_weights(real, cross + ridge, gram + ridge), gram + ridge, bits)
    return RoundedWeights(bits, tuple(scales.ravel().tolist()), _ungrouped(op, q).tobytes())
