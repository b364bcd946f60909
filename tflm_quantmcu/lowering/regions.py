"""Lowers a stage's region, with pads folded into windows and a reduction at its end: what makes one pixel of a map and
can be taken piece by piece (docs/format.md F4).

In: the region's ops, and a plan's weights. Out: LoweredOps. Refuses what our kernels
cannot run exactly, and halves of an op.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.precision_plan import RoundedWeights
from tflm_quantmcu.graph.types import ModelGraph, Op, Window
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.lowering.ops import LoweredOp

_MAX_POOL_PIXELS = 1 << 23  # whose 8-bit values' sum fits int32


def lower_region(
    graph: ModelGraph,
    ops: Sequence[Op],
    weight_bits: Mapping[str, int],
    rounded_weights: Mapping[str, RoundedWeights] = MappingProxyType({}),
) -> tuple[LoweredOp, ...]:
    """Lowers the ops of a stage; a PAD that only convolutions of the stage read is folded into their windows, a
    LOGISTIC of SiLU into its MUL, and so on.

    Args:
      ops: in execution order.
      weight_bits: weight tensor name -> bits; absent is 8.
      rounded_weights: weight tensor name -> values, of those that are not rounded to the nearest.

    Raises:
      UnsupportedModelError: our kernels cannot run an op exactly.
    """
    reduction = lower_reduction(graph, ops, weight_bits, rounded_weights)
    if reduction:
        return (*lower_region(graph, ops[: -reduction.num_ops], weight_bits, rounded_weights), reduction.op)
    network = LoweredNetwork.of(graph)
    inner = {link.index for op in ops if network.is_ours(op) for link in network.inner_ops(op)}
    _check_tables_are_whole(network, ops, inner)
    ops = [op for op in _without_shuffled(network, ops) if op.index not in inner]
    lowered = [_lower(network, op, weight_bits, rounded_weights) for op in ops]
    inside = {op.index for op in ops}
    folded = {
        op.outputs[0]: low
        for op, low in zip(ops, lowered, strict=True)
        if op.pads
        and graph.consumers[op.outputs[0]]
        and op.outputs[0] not in graph.outputs
        and all(
            c.index in inside and c.traits.has_filter and c.traits.is_windowed for c in graph.consumers[op.outputs[0]]
        )
    }
    return tuple(_fold_pad(low, folded) for low in lowered if low.output not in folded)


def _check_tables_are_whole(network: LoweredNetwork, ops: Sequence[Op], inner: Collection[int]) -> None:
    """Refuses a region that holds an op which a table stands for with an op behind the region."""
    halves = network.folded & {op.outputs[0] for op in ops if op.index not in inner}
    if halves:
        tensor = network.graph.tensors[min(halves)]
        is_gate = network.graph.producer[tensor.index].kind == "LOGISTIC"
        function = "x * LOGISTIC(x)" if is_gate else "a function that is one table"
        raise UnsupportedModelError(f"a stage ends inside {function}, at '{tensor.label}'; let it end before or behind")


def _without_shuffled(network: LoweredNetwork, ops: Sequence[Op]) -> Sequence[Op]:
    """The ops without those that the last one of a shuffle of channels stands for."""
    inside = {op.index for op in ops}
    for op in ops:
        for index in network.shuffled.get(op.index, ()):
            if index not in inside:
                name = network.graph.tensors[op.outputs[0]].label
                raise UnsupportedModelError(
                    f"a stage ends inside a shuffle of channels, at '{name}'; let it hold all of it"
                )
    return [op for op in ops if op.index not in network.shuffled]


def _lower(
    network: LoweredNetwork,
    op: Op,
    weight_bits: Mapping[str, int],
    rounded_weights: Mapping[str, RoundedWeights],
) -> LoweredOp:
    weights = network.weights(op)
    name = weights.name if weights else ""
    return network.lower_in_stage(op, weight_bits=weight_bits.get(name, 8), rounded=rounded_weights.get(name))


def _fold_pad(op: LoweredOp, pads: Mapping[int, LoweredOp]) -> LoweredOp:
    pad = pads.get(op.inputs[0])
    if pad is None:
        return op
    window = dataclasses.replace(
        op.window,
        pad_top=op.window.pad_top + pad.window.pad_top,
        pad_left=op.window.pad_left + pad.window.pad_left,
    )
    return _fold_pad(dataclasses.replace(op, window=window, inputs=pad.inputs), pads)


@dataclasses.dataclass(frozen=True, eq=False)
class Reduction:
    """The end of a region that makes one pixel of a map: its last op, or a reshape and its last op."""

    op: LoweredOp
    num_ops: int


def _keeps_format(graph: ModelGraph, reshape: Op) -> bool:
    """Whether a reshape's output means what its input does: TFLM copies bytes, whatever the scales say."""
    source, target = (graph.tensors[t] for t in (reshape.inputs[0], reshape.outputs[0]))
    return (source.scales, source.zero_points) == (target.scales, target.zero_points)


def lower_reduction(
    graph: ModelGraph,
    ops: Sequence[Op],
    weight_bits: Mapping[str, int],
    rounded_weights: Mapping[str, RoundedWeights] = MappingProxyType({}),
) -> Reduction | None:
    """Lowers the end of a region, if it is a reduction that can be taken piece by piece (docs/format.md F4).

    Args:
      graph: the model.
      ops: of the region, in order.
      weight_bits: name of weights -> their width; absent is 8.
      rounded_weights: name of weights -> values that stand for the model's own.
    """
    last, network = ops[-1], LoweredNetwork.of(graph)
    num_ops = 2 if len(ops) > 2 and last.traits.is_vector and ops[-2].kind == "RESHAPE" else 1
    if len(ops) <= num_ops or (num_ops == 2 and not _keeps_format(graph, ops[-2])):
        return None
    maps, output = graph.feature_maps(ops[-num_ops]), graph.tensors[last.outputs[0]]
    if not maps:
        return None
    source = graph.tensors[maps[0]]
    if len(source.shape) != 4 or source.shape[:1] != (1,) or source.shape[1:3] == (1, 1):
        return None
    if any(t.dtype != "int8" or len(t.scales) != 1 for t in (source, output)):
        return None
    place: dict[str, Any] = {"name": output.label, "inputs": (source.index,), "output": output.index}
    if last.traits.is_vector:
        weights = graph.tensors[last.inputs[1]]
        bits = min(weight_bits.get(weights.name, 8), weights.weight_bits)
        if not network.is_ours(last) or (source.shape[3] * bits) % 8:
            return None
        low = _lower(network, last, weight_bits, rounded_weights)
        return Reduction(dataclasses.replace(low, inputs=(source.index,)), num_ops)
    pixels = source.shape[1] * source.shape[2]
    if pixels > _MAX_POOL_PIXELS:
        return None
    if last.kind == "MEAN" and _mean_axes(graph, last) == {1, 2}:
        return Reduction(LoweredOp("MEAN", window=Window(), activation="NONE", num_pixels=pixels, **place), 1)
    is_global = last.kind == "AVERAGE_POOL_2D" and _pools_all(last, source.shape, output.shape)
    if is_global and network.is_ours(last):
        return Reduction(LoweredOp("GLOBAL_AVERAGE_POOL_2D", window=Window(), activation=last.activation, **place), 1)
    return None


def _mean_axes(graph: ModelGraph, op: Op) -> set[int]:
    axes = graph.tensors[op.inputs[1]].data
    return set() if axes is None else {int(a) % len(graph.tensors[op.inputs[0]].shape) for a in axes.ravel()}


def _pools_all(op: Op, shape: tuple[int, ...], output_shape: tuple[int, ...]) -> bool:
    """Whether a pool has one window, which is the whole map."""
    window = op.window or Window()
    covers_all = (window.kernel_height, window.kernel_width, window.pad_top, window.pad_left) == (*shape[1:3], 0, 0)
    return covers_all and output_shape[1:3] == (1, 1)
