"""Whether ops that move elements by constants (pads, blocks, begins, an order of axes) fill the output that they have.

TFLM's kernels compute places from these constants and from both shapes, and look at none of them once more.

In: an op's kind and tensors, and the file's values. Out: nothing, or a sentence about shapes. Where they are no
constants, TFLM is left to judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.tflite import schema

Shape = tuple[int, ...]
Values = Sequence[int]
# (shape of what is moved, the constants behind it) -> the output's shape.
_Rule = Callable[..., Shape]
_INTEGERS = {schema.TensorType.INT32: "<i4", schema.TensorType.INT64: "<i8"}


def misplaced(model: schema.ModelT, kind: str, op: schema.OperatorT, tensors: Sequence[Any]) -> str | None:
    """What is wrong with an op that moves elements by constants; empty tensors are left to the reader.

    Args:
      model: the file, for the constants.
      kind: the op's name.
      op: its tensors.
      tensors: of its subgraph.
    """
    rule, count = _RULES.get(kind, (None, 0))
    if rule is None or len(op.inputs) <= count or len(op.outputs) != 1 or op.inputs[0] < 0:
        return None
    source, target = (_shape(tensors[t]) for t in (op.inputs[0], op.outputs[0]))
    if 0 in (*source, *target):
        return None
    try:
        constants = [values_of(model, op, tensors, place) for place in range(1, 1 + count)]
        if None in constants:
            return None
        wanted = rule(source, *constants)
    except (ArithmeticError, LookupError, ValueError):
        return "has shapes or values that contradict each other"
    return None if wanted == target else f"makes a tensor of the shape {list(wanted)}, and its output is {list(target)}"


def values_of(model: schema.ModelT, op: schema.OperatorT, tensors: Sequence[Any], place: int) -> Values | None:
    """The integers of an input in a row; None where it has none in the file, or others than int32 and int64.

    Args:
      model: the file.
      op: one of its ops.
      tensors: of the op's subgraph.
      place: of the input among the op's.

    Raises:
      ValueError: its bytes are no whole number of integers.
    """
    tensor = tensors[op.inputs[place]] if place < len(op.inputs) and op.inputs[place] >= 0 else None
    dtype = None if tensor is None else _INTEGERS.get(tensor.type)
    data = None if tensor is None or dtype is None else model.buffers[tensor.buffer].data
    return None if data is None else np.frombuffer(bytes(data), dtype).tolist()


def _shape(tensor: Any) -> Shape:
    return () if tensor.shape is None else tuple(map(int, tensor.shape))


def _padded(source: Shape, pads: Values) -> Shape:
    if min(pads) < 0:
        raise ValueError("a negative pad")
    return tuple(n + before + after for n, before, after in zip(source, pads[::2], pads[1::2], strict=True))


def _slice(source: Shape, begins: Values, sizes: Values) -> Shape:
    target = [n - begin if size == -1 else size for n, begin, size in zip(source, begins, sizes, strict=True)]
    if any(begin < 0 or begin + size > n for n, begin, size in zip(source, begins, target, strict=True)):
        raise ValueError("elements that are not there")
    return tuple(target)


def _transposed(source: Shape, order: Values) -> Shape:
    if sorted(order) != list(range(len(source))):
        raise ValueError("no order of axes")
    return tuple(source[axis] for axis in order)


def _resized(source: Shape, size: Values) -> Shape:
    batches, _, _, channels = source
    height, width = size
    return batches, height, width, channels


def _space_to_batch(source: Shape, blocks: Values, pads: Values) -> Shape:
    batches, *rest = source
    extents = _padded(tuple(rest[: len(blocks)]), pads)
    if any(n % block for n, block in zip(extents, blocks, strict=True)):
        raise ValueError("a block that is not filled")
    blocked = [n // block for n, block in zip(extents, blocks, strict=True)]
    return batches * _product(blocks), *blocked, *rest[len(blocks) :]


def _batch_to_space(source: Shape, blocks: Values, crops: Values) -> Shape:
    batches, *rest = source
    if min(crops) < 0 or batches % _product(blocks):
        raise ValueError("batches that are no whole blocks")
    extents = [n * block for n, block in zip(rest[: len(blocks)], blocks, strict=True)]
    kept = [n - before - after for n, before, after in zip(extents, crops[::2], crops[1::2], strict=True)]
    return batches // _product(blocks), *kept, *rest[len(blocks) :]


def _product(blocks: Values) -> int:
    if min(blocks) < 1:
        raise ValueError("a block of nothing")
    return int(np.prod(blocks, dtype=object))


# How the output's shape follows from how many constants.
_RULES: Mapping[str, tuple[_Rule | None, int]] = {
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), (_padded, 1)),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), (_resized, 1)),
    "TRANSPOSE": (_transposed, 1),
    "SLICE": (_slice, 2),
    "SPACE_TO_BATCH_ND": (_space_to_batch, 2),
    "BATCH_TO_SPACE_ND": (_batch_to_space, 2),
}
