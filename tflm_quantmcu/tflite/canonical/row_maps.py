"""Maps [1, W, C] of networks over time become [1, 1, W, C], images of one row.

TFLite makes a CONV_2D of a Conv1D, between two reshapes; activations, sums, pads and means between convolutions stay on
three dimensions, where no kernel of ours and no stage takes them. Here these ops get four, and a reshape on either
side where they need one; which of all those reshapes are needed is another rewrite's business (reshapes.py).
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from tflm_quantmcu.graph.op_kinds import OP_KINDS
from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.model_builder import ModelBuilder
from tflm_quantmcu.tflite.model_file import ModelFile


def widen_row_maps(model: ModelFile) -> schema.ModelT | None:
    """The model's tree with four dimensions where that takes no more reshapes than there are, or None if nowhere."""
    chosen = _chosen_ops(model.graph)
    return _Widening(model, chosen).run() if chosen else None


@dataclasses.dataclass(frozen=True)
class _Change:
    """How an op that works on rows becomes one that works on images.

    Attributes:
      is_possible: of an op whose maps are rows.
      apply: changes its operator, beside its maps.
      makes_row: its output is one.
    """

    is_possible: Callable[[ModelGraph, Op], bool] = lambda graph, op: True
    apply: Callable[[ModelBuilder, ModelGraph, Op, schema.OperatorT], None] = lambda *_: None
    makes_row: bool = True


def _has_small_constants(graph: ModelGraph, op: Op) -> bool:
    return all(len(graph.tensors[t].shape) <= 3 for t in op.inputs)  # they broadcast from the right


def _pads_within(graph: ModelGraph, op: Op) -> bool:
    return len(op.pads) == 3 and op.pads[0] == (0, 0)


def _pad_image(builder: ModelBuilder, graph: ModelGraph, op: Op, operator: schema.OperatorT) -> None:
    pads = np.array([(0, 0), *op.pads], np.int32)
    name = f"{graph.tensors[op.outputs[0]].name}/pads"
    operator.inputs = np.array([op.inputs[0], builder.add_constant(name, pads), *op.inputs[2:]], np.int32)


def _reduces_width(graph: ModelGraph, op: Op) -> bool:
    axes = graph.tensors[op.inputs[1]].data
    return axes is not None and {int(a) % 3 for a in axes.ravel()} == {1}


def _reduce_image(builder: ModelBuilder, graph: ModelGraph, op: Op, operator: schema.OperatorT) -> None:
    name = f"{graph.tensors[op.outputs[0]].name}/axes"
    operator.inputs = np.array([op.inputs[0], builder.add_constant(name, np.array([1, 2], np.int32))], np.int32)


def _concatenate_images(builder: ModelBuilder, graph: ModelGraph, op: Op, operator: schema.OperatorT) -> None:
    operator.builtinOptions.axis = op.axis % 3 + 1


_ELEMENT_WISE = (
    *(kind.name for kind in OP_KINDS.values() if kind.is_lookup),
    *("QUANTIZE", "RELU", "RELU6"),
    *("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM"),
)
_CHANGES: Mapping[str, _Change] = {
    **dict.fromkeys(_ELEMENT_WISE, _Change(_has_small_constants)),
    **dict.fromkeys(("PAD", "PADV2"), _Change(_pads_within, _pad_image)),
    **dict.fromkeys(("MEAN", "REDUCE_MAX"), _Change(_reduces_width, _reduce_image, makes_row=False)),
    "CONCATENATION": _Change(lambda graph, op: op.axis % 3 > 0, _concatenate_images),
}


def _is_row(graph: ModelGraph, t: int) -> bool:
    """Whether a tensor is an int8 map [1, W, C]."""
    tensor = graph.tensors[t]
    is_map = not tensor.is_constant and not tensor.is_variable and tensor.dtype == "int8"
    return is_map and len(tensor.scales) == 1 and len(tensor.shape) == 3 and tensor.shape[0] == 1


def _rows(graph: ModelGraph, op: Op) -> set[int]:
    return {t for t in (*op.inputs, *op.outputs) if t >= 0 and _is_row(graph, t)}


def _can_change(graph: ModelGraph, op: Op) -> bool:
    change = _CHANGES.get(op.kind)
    if change is None or not all(_is_row(graph, t) for t in graph.feature_maps(op)):
        return False
    return change.is_possible(graph, op) and (not change.makes_row or _is_row(graph, op.outputs[0]))


def _chosen_ops(graph: ModelGraph) -> frozenset[int]:
    """The ops that are to work on images; those that share a row become so together, or not."""
    candidates = [op for op in graph.ops if _can_change(graph, op)]
    groups: list[tuple[set[int], set[int]]] = []  # rows, ops
    for op in candidates:
        rows, ops = _rows(graph, op), {op.index}
        for group in [group for group in groups if not rows.isdisjoint(group[0])]:
            groups.remove(group)
            rows, ops = rows | group[0], ops | group[1]
        groups.append((rows, ops))
    return frozenset(i for rows, ops in groups if _takes_no_more_reshapes(graph, rows, ops) for i in ops)


def _takes_no_more_reshapes(graph: ModelGraph, rows: set[int], ops: set[int]) -> bool:
    """Whether as many reshapes between row and image go as come, and there is one at all."""
    around = {op for t in rows for op in (graph.producer.get(t), *graph.consumers[t]) if op is not None}
    going = sum(op.traits.is_reshape and _is_unit(graph, op) for op in around)
    coming = sum(_needs_row(graph, t, ops) + _starts_as_row(graph, t, ops) for t in rows)
    return 0 < going >= coming


def _is_unit(graph: ModelGraph, op: Op) -> bool:
    shapes = [graph.tensors[t].shape for t in (op.inputs[0], op.outputs[0])]
    row, image = sorted(shapes, key=len)
    return image == _image(row)


def _needs_row(graph: ModelGraph, t: int, ops: set[int]) -> bool:
    others = (op for op in graph.consumers[t] if op.index not in ops)
    return t in graph.outputs or not all(op.traits.is_reshape for op in others)


def _starts_as_row(graph: ModelGraph, t: int, ops: set[int]) -> bool:
    writer = graph.producer.get(t)
    return writer is None or not (writer.index in ops or writer.traits.is_reshape)


def _image(row: tuple[int, ...]) -> tuple[int, ...]:
    return (*row[:1], 1, *row[1:])


class _Widening:
    """One change of a model's tree."""

    def __init__(self, model: ModelFile, chosen: frozenset[int]) -> None:
        self._graph, self._chosen = model.graph, chosen
        self._builder = ModelBuilder(named_tree(model))
        self._images: dict[int, int] = {}  # row -> the image that has its values, once it is written

    def run(self) -> schema.ModelT:
        tree = self._builder.model
        subgraph, kept = tree.subgraphs[0], []
        for op, operator in zip(self._graph.ops, subgraph.operators, strict=True):
            kept += self._changed(op, operator) if op.index in self._chosen else [operator]
        subgraph.operators = kept
        return tree

    def _changed(self, op: Op, operator: schema.OperatorT) -> list[schema.OperatorT]:
        """The operator, and the reshapes before and behind it."""
        builder, graph = self._builder, self._graph
        rows = dict.fromkeys(t for t in op.inputs if t >= 0 and _is_row(graph, t))
        before = [builder.reshape(t, self._add_image(t)) for t in rows if t not in self._images]
        _CHANGES[op.kind].apply(builder, graph, op, operator)
        operator.inputs = np.array([self._images.get(int(t), int(t)) for t in operator.inputs], np.int32)
        if not _CHANGES[op.kind].makes_row:
            return [*before, operator]
        (row,) = op.outputs
        operator.outputs = np.array([self._add_image(row)], np.int32)
        return [*before, operator, builder.reshape(self._images[row], row)]

    def _add_image(self, row: int) -> int:
        """A tensor for the image of a row; it takes over the name, which ends of the model keep."""
        graph, tensors = self._graph, self._builder.subgraph.tensors
        image = copy.copy(tensors[row])
        image.shape, image.shapeSignature = np.array(_image(graph.tensors[row].shape), np.int32), None
        is_end = row in (*graph.inputs, *graph.outputs)
        other, suffix = (image, "/image") if is_end else (tensors[row], "/row")
        other.name = graph.tensors[row].name + suffix
        tensors.append(image)
        self._images[row] = len(tensors) - 1
        return self._images[row]
