"""Drops channels that are constant, and folds what they add into the biases of the convolutions that read them.

Trained networks have such channels: all-zero weights, or clamps that nothing leaves. A channel goes from all maps that
share it, through depthwise convolutions, sums, activations and pools, where each convolution at the end either never
reads padding, or the constant is the zero point that padding has. Sums of integers are the same in any order, so that
the outputs keep their bytes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.lowering.channel_ranges import channel_ranges, inside_taps
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.model_builder import ModelBuilder
from tflm_quantmcu.tflite.model_file import ModelFile

_KEEPING = ("ADD", "RELU", "RELU6", "QUANTIZE")
_INT32 = 2**31 - 1
_WORD, _FEW = 4, 4  # channels of a word; what fills it up is at most a quarter of the others


def drop_dead_channels(model: ModelFile) -> schema.ModelT | None:
    """The model's tree without them, or None where there are none."""
    graph = model.graph
    kept = _kept_channels(graph)
    return _Dropping(model, kept).run() if kept else None


def _keeps_channels(graph: ModelGraph, op: Op) -> bool:
    """Whether channel c of the output is made of channel c of the inputs, all of which are maps."""
    maps = [graph.tensors[t] for t in (*graph.feature_maps(op), *op.outputs)]
    if len({t.shape[-1:] for t in maps}) > 1 or any(t.dtype != "int8" for t in maps):
        return False
    if op.traits.is_depthwise:
        return op.depth_multiplier == 1
    if op.traits.is_pad:
        return len(op.pads) == 4 and op.pads[3] == (0, 0) and op.kind == "PAD"
    return op.traits.is_pool or op.traits.is_reshape or _is_keeping(graph, op)


def _is_keeping(graph: ModelGraph, op: Op) -> bool:
    return (op.kind in _KEEPING or op.traits.is_lookup) and _has_maps_alone(graph, op)


def _has_maps_alone(graph: ModelGraph, op: Op) -> bool:
    return len(graph.feature_maps(op)) == len(op.inputs) and len({graph.tensors[t].shape for t in op.inputs}) == 1


def _is_mixing(graph: ModelGraph, op: Op, t: int) -> bool:
    """Whether the op sums over all channels of map t, with int8 weights that are its own."""
    if op.kind not in ("CONV_2D", "FULLY_CONNECTED") or op.inputs[0] != t or op.inputs.count(t) > 1:
        return False
    weights = graph.tensors[op.inputs[1]]
    if weights.dtype != "int8" or weights.data is None or not weights.scales:
        return False
    return weights.shape[-1] == graph.tensors[t].shape[-1]


def _groups(graph: ModelGraph) -> list[set[int]]:
    """Maps that share their channels, and that can lose some: only convolutions begin and end them."""
    root = list(range(len(graph.tensors)))

    def find(t: int) -> int:
        while root[t] != t:
            t = root[t]
        return t

    for op in graph.ops:
        if _keeps_channels(graph, op):
            for t in graph.feature_maps(op):
                root[find(t)] = find(op.outputs[0])
    members: dict[int, set[int]] = {}
    for op in graph.ops:
        for t in op.outputs:
            members.setdefault(find(t), set()).add(t)
    for t in graph.inputs:
        members.pop(find(t), None)
    return [group for group in members.values() if all(_may_change(graph, t) for t in group)]


def _may_change(graph: ModelGraph, t: int) -> bool:
    if t in graph.outputs or graph.tensors[t].dtype != "int8" or len(graph.tensors[t].scales) != 1:
        return False
    writer = graph.producer[t]
    is_begun = _keeps_channels(graph, writer) or (
        writer.kind == "CONV_2D" and _is_mixing(graph, writer, writer.inputs[0])
    )
    readers = graph.consumers[t]
    return is_begun and all(_keeps_channels(graph, op) or _is_mixing(graph, op, t) for op in readers)


def _kept_channels(graph: ModelGraph) -> dict[int, np.ndarray]:
    """Map -> bool [C] of the channels that stay, for maps that lose some."""
    ranges = channel_ranges(graph)
    kept: dict[int, np.ndarray] = {}
    for group in _groups(graph):
        dead = np.all([ranges[t][0] == ranges[t][1] for t in group], axis=0)
        for t in group:
            for op in graph.consumers[t]:
                if _is_mixing(graph, op, t) and _reads_padding(graph, op):
                    dead &= ranges[t][0] == graph.tensors[t].zero_points[0]
        dead[np.flatnonzero(dead)[: _filled(int((~dead).sum()))]] = False
        if dead.any() and all(_fits(graph, op, t, dead, ranges[t][0]) for t in group for op in graph.consumers[t]):
            kept |= dict.fromkeys(group, ~dead)
    return kept


def _filled(num_live: int) -> int:
    """How many dead channels stay: one where there is no other, and what fills up a word of each pixel where that is
    little, for kernels take four channels at a time and what is left one by one."""
    missing = -num_live % _WORD
    if num_live == 0:
        return 1
    return missing if missing * _FEW <= num_live else 0


def _reads_padding(graph: ModelGraph, op: Op) -> bool:
    if op.window is None:
        return False
    source, output = graph.tensors[op.inputs[0]].shape, graph.tensors[op.outputs[0]].shape
    kernel = op.window.kernel_height, op.window.kernel_width
    taps = (inside_taps(op.window, axis, source[axis + 1], output[axis + 1]) for axis in range(2))
    return any(len(found) < size for size, axis in zip(kernel, taps, strict=True) for found in axis)


def _fits(graph: ModelGraph, op: Op, t: int, dead: np.ndarray, values: np.ndarray) -> bool:
    return not _is_mixing(graph, op, t) or bool(np.abs(_bias(graph, op, t, dead, values)).max() <= _INT32)


def _bias(graph: ModelGraph, op: Op, t: int, dead: np.ndarray, values: np.ndarray) -> np.ndarray:
    """int64 [O]: the op's bias and what dead channels of its input add to every sum."""
    weights = graph.tensors[op.inputs[1]].data
    assert weights is not None
    steps = np.where(dead, values - graph.tensors[t].zero_points[0], 0)
    added = (weights.astype(np.int64) * steps).reshape(weights.shape[0], -1).sum(axis=1)
    return added + _own_bias(graph, op, weights.shape[0])


def _own_bias(graph: ModelGraph, op: Op, outputs: int) -> np.ndarray:
    has_bias = len(op.inputs) > 2 and op.inputs[2] >= 0
    data = graph.tensors[op.inputs[2]].data if has_bias else None
    return np.zeros(outputs, np.int64) if data is None else data.astype(np.int64).ravel()


@dataclasses.dataclass
class _Dropping:
    """One change of a model's tree; `kept` as `_kept_channels` gives it."""

    model: ModelFile
    kept: Mapping[int, np.ndarray]

    def run(self) -> schema.ModelT:
        graph = self.model.graph
        tree = named_tree(self.model)
        builder = ModelBuilder(tree)
        subgraph = tree.subgraphs[0]
        for t, channels in self.kept.items():
            shape = np.array(subgraph.tensors[t].shape, np.int32)
            shape[-1] = int(channels.sum())
            subgraph.tensors[t].shape, subgraph.tensors[t].shapeSignature = shape, None
        for i, op in enumerate(graph.ops):
            if not any(t in self.kept for t in (*op.inputs, *op.outputs)):
                continue
            if op.traits.is_reshape:
                subgraph.operators[i] = builder.reshape(op.inputs[0], op.outputs[0])
            elif op.traits.has_filter:
                self._change_weights(builder, op, subgraph.operators[i])
        return tree

    def _change_weights(self, builder: ModelBuilder, op: Op, operator: schema.OperatorT) -> None:
        graph = self.model.graph
        weights = graph.tensors[op.inputs[1]]
        assert weights.data is not None
        values, outputs = weights.data, weights.shape[op.traits.weight_axis]
        bias = _own_bias(graph, op, outputs)
        source, output = self.kept.get(op.inputs[0]), self.kept.get(op.outputs[0])
        if source is not None and not op.traits.is_depthwise:
            constants = channel_ranges(graph)[op.inputs[0]][0]
            bias = _bias(graph, op, op.inputs[0], ~source, constants)
            values = values[..., source]
        scales = np.broadcast_to(np.array(weights.scales, np.float32), outputs)
        if output is not None:
            values = values[..., output] if op.traits.is_depthwise else values[output]
            bias, scales = bias[output], scales[output]
        scales = scales if len(weights.scales) > 1 else scales[:1]
        name = graph.tensors[op.outputs[0]].name
        changed = builder.add_weights(op.inputs[1], values, np.ascontiguousarray(scales))
        builder.subgraph.tensors[changed].shape = np.array(values.shape, np.int32)
        if len(scales) > 1:
            zeros = np.zeros(len(scales), np.int64)
            builder.subgraph.tensors[changed].quantization.zeroPoint = zeros
        steps = np.float32(graph.tensors[op.inputs[0]].scales[0]) * scales
        places = [op.inputs[0], changed, builder.add_bias(f"{name}/bias", bias.astype(np.int32), steps)]
        operator.inputs = np.array(places, np.int32)
