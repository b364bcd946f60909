"""Whether ops that join, divide or reduce tensors along axes have shapes that fit each other.

TFLM's kernels take sizes from some of the shapes and copy by them from or to all others, so that shapes which only
together hold as many elements lead outside of a tensor.

In: an op's kind, options and tensors, and the file's values. Out: nothing, or a sentence about shapes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.value_check import values_of

Shape = tuple[int, ...]
# (options, shapes of the inputs, shapes of the outputs) -> whether they fit.
_Fits = Callable[[Any, Sequence[Shape], Sequence[Shape]], bool]


def misfit(model: schema.ModelT, kind: str, op: schema.OperatorT, tensors: Sequence[Any]) -> str | None:
    """What is wrong with the shapes of an op that joins, divides or reduces; empty ones are left to the reader.

    Args:
      model: the file, for the values of axes.
      kind: the op's name.
      op: its tensors and options.
      tensors: of its subgraph.
    """
    place = _VALUES.get(kind, len(op.inputs))
    if place < len(op.inputs) and op.inputs[place] >= 0 and 0 in _shape(tensors[op.inputs[place]]):
        return f"has no value in its input {place}"
    sources, targets = ([_shape(tensors[t]) for t in side if t >= 0] for side in (op.inputs, op.outputs))
    if not sources or not targets or any(0 in shape for shape in (*sources, *targets)):
        return None
    try:
        fits = _FITS.get(kind)
        if kind in _REDUCTIONS:
            fits = functools.partial(_reduction, values_of(model, op, tensors, 1))
        if kind in _SPLITS:
            fits = functools.partial(_split, values_of(model, op, tensors, place), _SPLITS[kind])
        return (
            None
            if fits is None or fits(op.builtinOptions, sources, targets)
            else "has shapes that do not fit each other"
        )
    except (AttributeError, LookupError, ValueError):
        return "has shapes or options that contradict each other"


def _shape(tensor: Any) -> Shape:
    return () if tensor.shape is None else tuple(map(int, tensor.shape))


def _axis(axis: int, rank: int) -> int:
    """Counted from the front.

    Raises:
      IndexError: a tensor of this rank has no such axis.
    """
    if not -rank <= axis < rank:
        raise IndexError(axis)
    return axis % rank


def _around(shape: Shape, axis: int) -> tuple[int, int]:
    """How many elements lie before an axis and behind it."""
    return math.prod(shape[:axis]), math.prod(shape[axis + 1 :])


def _joins(parts: Sequence[Shape], whole: Shape, axis: int) -> bool:
    """Whether the parts are the whole, one behind the other."""
    same = all(len(part) == len(whole) and _around(part, axis) == _around(whole, axis) for part in parts)
    return same and sum(part[axis] for part in parts) == whole[axis]


def _concatenation(options: Any, sources: Sequence[Shape], targets: Sequence[Shape]) -> bool:
    return _joins(sources, targets[0], _axis(options.axis, len(targets[0])))


def _pack(options: Any, sources: Sequence[Shape], targets: Sequence[Shape]) -> bool:
    axis = _axis(options.axis, len(targets[0]))
    elements = math.prod(_around(targets[0], axis))
    return targets[0][axis] == len(sources) == options.valuesCount and all(
        math.prod(source) == elements for source in sources
    )


def _unpack(options: Any, sources: Sequence[Shape], targets: Sequence[Shape]) -> bool:
    axis = _axis(options.axis, len(sources[0]))
    elements = math.prod(_around(sources[0], axis))
    return sources[0][axis] == len(targets) == options.num and all(math.prod(target) == elements for target in targets)


def _reduction(axes: Sequence[int] | None, _: Any, sources: Sequence[Shape], targets: Sequence[Shape]) -> bool:
    """Whether what is left of a tensor without these axes is as much as the output holds."""
    if axes is None:
        return True
    gone = {_axis(axis, len(sources[0])) for axis in axes}
    left = math.prod(extent for axis, extent in enumerate(sources[0]) if axis not in gone)
    return math.prod(targets[0]) == left


def _split(
    axis: Sequence[int] | None, place: int, options: Any, sources: Sequence[Shape], targets: Sequence[Shape]
) -> bool:
    """Whether the targets are parts of the whole, along any axis where it is no constant."""
    whole = sources[place]
    axes = range(len(whole)) if axis is None else [_axis(axis[0], len(whole))]
    return options.numSplits == len(targets) and any(_joins(targets, whole, d) for d in axes)


_REDUCTIONS = frozenset(
    ["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL", "ARG_MAX", "ARG_MIN"]
)
# Where the tensor stands that a split divides.
_SPLITS = {"SPLIT": 1, "SPLIT_V": 0}
# Where an op reads one value, an axis or what it fills with.
_VALUES = {**dict.fromkeys(("ARG_MAX", "ARG_MIN", "CUMSUM", "EXPAND_DIMS"), 1), "SPLIT": 0, "SPLIT_V": 2, "PADV2": 2}
_FITS: Mapping[str, _Fits] = {
    "CONCATENATION": _concatenation,
    "PACK": _pack,
    "UNPACK": _unpack,
}
