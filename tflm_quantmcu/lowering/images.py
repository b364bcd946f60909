"""Ops of several images [N, H, W, C], each of which TFLM computes by itself, as ops of one image.

In: an op of a ModelGraph. Out: the graph in which its maps have one image, and how many there are. SPACE_TO_BATCH_ND
makes such maps of a dilated convolution.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.law.kernel_calls import KernelCall

# Beside convolutions and pools.
_KINDS = frozenset(("DEPTH_TO_SPACE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SPACE_TO_DEPTH", "TRANSPOSE_CONV"))


def one_image(graph: ModelGraph, op: Op) -> ModelGraph | None:
    """The graph with one image in each map of the op; None where the op has one already, or is of no such kind."""
    if op.kind not in _KINDS and not (op.traits.is_windowed or op.traits.is_pool):
        return None
    shapes = [graph.tensors[t].shape for t in (*graph.feature_maps(op), op.outputs[0])]
    if len(shapes) != 2 or any(len(shape) != 4 for shape in shapes) or {shape[0] for shape in shapes} <= {0, 1}:
        return None
    return graph.derived(_Graphs).of(op) if shapes[0][0] == shapes[1][0] else None


def num_images(graph: ModelGraph, op: Op) -> int:
    """How many images the maps of an op have for which `one_image` gives a graph."""
    return graph.tensors[op.outputs[0]].shape[0]


def calls_of_images(
    graph: ModelGraph, op: Op, calls_of: Callable[[ModelGraph], Sequence[KernelCall]]
) -> tuple[KernelCall, ...] | None:
    """The calls that compute all images, one after the other; None where `one_image` is.

    Args:
      graph: the model.
      op: of it.
      calls_of: gives the op's calls in the graph of one image.
    """
    one = one_image(graph, op)
    if one is None:
        return None
    calls = calls_of(one)
    return tuple(_of_image(one, call, n) for n in range(num_images(graph, op)) for call in calls)


def _of_image(one: ModelGraph, call: KernelCall, number: int) -> KernelCall:
    firsts = [number * one.tensors[t].num_bytes for t in call.inputs]
    return dataclasses.replace(
        call,
        input_offsets=tuple(
            first + offset for first, offset in zip(firsts, call.input_offsets or [0] * len(firsts), strict=True)
        ),
        output_offset=number * one.tensors[call.output].num_bytes + call.output_offset,
    )


class _Graphs:
    """The graphs of one image that were asked for."""

    def __init__(self, graph: ModelGraph) -> None:
        self._graph = graph
        self._found: dict[int, ModelGraph] = {}

    def of(self, op: Op) -> ModelGraph:
        if op.index not in self._found:
            tensors = list(self._graph.tensors)
            for t in (*self._graph.feature_maps(op), op.outputs[0]):
                tensors[t] = dataclasses.replace(tensors[t], shape=(1, *tensors[t].shape[1:]))
            self._found[op.index] = dataclasses.replace(self._graph, tensors=tuple(tensors))
        return self._found[op.index]
