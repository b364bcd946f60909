"""Stock ops that only move bytes, as strided copies: slices, splits, stacks, chosen rows (law A10).

In: an op of an int8 model. Out: KernelCalls. Refuses, naming the op, amounts that are not constant.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.law.kernel_calls import KernelCall, StridedCopyParams
from tflm_quantmcu.lowering.stock_parts import constant_input, dense_steps, io_tensors, refuse, views

MAX_COPIES = 64  # calls of one op
MOVED = ("int8", "uint8", "float32", "int32", "bool")


def copied(
    graph: ModelGraph,
    op: Op,
    ends: tuple[Tensor, Tensor],
    extents: Sequence[int],
    steps: tuple[Sequence[int], Sequence[int]],
    firsts: tuple[int, int] = (0, 0),
) -> KernelCall:
    """A copy between two views.

    Args:
      graph: the model.
      op: of it.
      ends: the input and the output.
      extents: how many values along each dimension.
      steps: how far they lie apart in each of the two, in values.
      firsts: where they begin.

    Raises:
      UnsupportedModelError: values outside of a tensor, or more dimensions than `views` takes.
    """
    source, output = ends
    for tensor, first, distances in zip(ends, firsts, steps, strict=True):
        moves = [(n - 1) * step for n, step in zip(extents, distances, strict=True)]
        low, high = first + sum(m for m in moves if m < 0), first + sum(m for m in moves if m > 0)
        if min(extents, default=1) > 0 and not 0 <= low <= high < tensor.num_elements:
            raise refuse(graph, op, f"it reaches values {low} to {high} of '{tensor.label}'")
    size = source.value_bytes
    if size > 1:  # moved as bytes
        extents, firsts = (*extents, size), (size * firsts[0], size * firsts[1])
        steps = ([*(size * s for s in steps[0]), 1], [*(size * s for s in steps[1]), 1])
    params = StridedCopyParams(*views(graph, op, extents, *steps))
    return KernelCall(
        "StridedCopy", params, (source.index,), output.index, input_offsets=firsts[:1], output_offset=firsts[1]
    )


def _part(
    graph: ModelGraph,
    op: Op,
    ends: tuple[Tensor, Tensor],
    starts: Sequence[int],
    strides: Sequence[int],
    gone: Collection[int] = (),
) -> KernelCall:
    """Every `strides`th value of each dimension from `starts` on, as many as the output has.

    Args:
      graph: the model.
      op: of it.
      ends: the input and the output.
      starts, strides: one a dimension of the input.
      gone: dimensions of the input that the output lacks.

    Raises:
      UnsupportedModelError: the output has other dimensions, or more values than there are.
    """
    source, output = ends
    steps, rest = dense_steps(source.shape), list(output.shape)
    if len(rest) != len(source.shape) - len(gone):
        raise refuse(graph, op, f"{list(source.shape)} does not make {list(output.shape)}")
    extents = [1 if d in gone else rest.pop(0) for d in range(len(source.shape))]
    for size, start, stride, count in zip(source.shape, starts, strides, extents, strict=True):
        if not 0 <= start < size or not 0 <= start + (count - 1) * stride < size:
            raise refuse(graph, op, f"it takes {count} values of {size} from {start} on")
    first = sum(start * step for start, step in zip(starts, steps, strict=True))
    moved = [step * stride for step, stride in zip(steps, strides, strict=True)]
    return copied(graph, op, ends, extents, (moved, dense_steps(extents)), (first, 0))


def _slice(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, MOVED)
    starts = [int(v) for v in constant_input(graph, op, 1, "begins").ravel()]
    return [_part(graph, op, (source, output), starts, [1] * len(starts))]


def _strided_slice(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Source: StartForAxis of TFLM's strided_slice_logic.h; masks as of TFLite, without ellipses and new axes."""
    source, output = io_tensors(graph, op, 1, MOVED)
    begins, strides = (
        [int(v) for v in constant_input(graph, op, i, what).ravel()] for i, what in ((1, "begins"), (3, "strides"))
    )
    if op.options.get("ellipsisMask") or op.options.get("newAxisMask") or 0 in strides:
        raise refuse(graph, op, "it has an ellipsis or a new axis")
    missing = len(source.shape) - len(begins)
    begins, strides = begins + [0] * missing, strides + [1] * missing
    starts = []
    for d, (size, begin, stride) in enumerate(zip(source.shape, begins, strides, strict=True)):
        if int(op.options.get("beginMask", 0)) >> d & 1:
            begin = 0 if stride > 0 else size - 1
        starts.append(min(max(begin + size if begin < 0 else begin, 0), size - 1))
    mask = int(op.options.get("shrinkAxisMask", 0))
    return [_part(graph, op, (source, output), starts, strides, [d for d in range(len(starts)) if mask >> d & 1])]


def _split_along(graph: ModelGraph, op: Op, source: Tensor, axis: int) -> list[KernelCall]:
    axis %= len(source.shape)
    calls, first = [], 0
    for t in op.outputs:
        output = graph.tensors[t]
        starts = [first if d == axis else 0 for d in range(len(source.shape))]
        is_gone = op.kind == "UNPACK"
        calls.append(_part(graph, op, (source, output), starts, [1] * len(starts), [axis] if is_gone else []))
        first += 1 if is_gone else output.shape[axis]
    return calls


def _split(graph: ModelGraph, op: Op) -> list[KernelCall]:
    axis, source = constant_input(graph, op, 0, "axis"), graph.tensors[op.inputs[1]]
    _require_moved(graph, op, source)
    return _split_along(graph, op, source, int(axis.ravel()[0]))


def _split_v(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, _ = io_tensors(graph, op, 1, MOVED)
    return _split_along(graph, op, source, int(constant_input(graph, op, 2, "axis").ravel()[0]))


def _unpack(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, _ = io_tensors(graph, op, 1, MOVED)
    return _split_along(graph, op, source, int(op.options.get("axis", 0)))


def _pack(graph: ModelGraph, op: Op) -> list[KernelCall]:
    *sources, output = io_tensors(graph, op, len(op.inputs), MOVED)
    axis, steps = int(op.options.get("axis", 0)) % len(output.shape), dense_steps(output.shape)
    kept = [step for d, step in enumerate(steps) if d != axis]
    return [
        copied(graph, op, (t, output), t.shape, (dense_steps(t.shape), kept), (0, i * steps[axis]))
        for i, t in enumerate(sources)
    ]


def _gather(graph: ModelGraph, op: Op) -> list[KernelCall]:
    source, output = io_tensors(graph, op, 1, MOVED)
    indices = constant_input(graph, op, 1, "indices").ravel()
    axis = int(op.options.get("axis", 0)) % len(source.shape)
    if op.options.get("batchDims") or len(indices) > MAX_COPIES:
        raise refuse(graph, op, f"it has batch dimensions, or chooses more than {MAX_COPIES} rows")
    outer, inner = int(np.prod(source.shape[:axis])), int(np.prod(source.shape[axis + 1 :]))
    rows = (source.shape[axis] * inner, 1), (len(indices) * inner, 1)
    return [
        copied(graph, op, (source, output), (outer, inner), rows, (int(index) * inner, i * inner))
        for i, index in enumerate(indices)
    ]


def _require_moved(graph: ModelGraph, op: Op, tensor: Tensor) -> None:
    if tensor.dtype not in MOVED:
        raise refuse(graph, op, f"'{tensor.label}' is {tensor.dtype}, not {' or '.join(MOVED)}")


MOVES: Mapping[str, Callable[[ModelGraph, Op], list[KernelCall]]] = {
    "GATHER": _gather,
    "PACK": _pack,
    "SLICE": _slice,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "STRIDED_SLICE": _strided_slice,
    "UNPACK": _unpack,
}
