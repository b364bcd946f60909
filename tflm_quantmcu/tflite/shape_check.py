"""Whether an op writes all of its output and no more, of one type: TFLM takes the file's shapes as they are.

In: an op's kind, options and tensors. Out: nothing, or a sentence about elements. Ops whose output's size depends on
more than shapes are left to TFLM.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.tflite import schema

Shape = tuple[int, ...]
Rule = Callable[[Any, Sequence[Shape]], int]

_SAME_NAMES = """
ABS CAST CEIL COS CUMSUM DEQUANTIZE ELU EXP FLOOR GELU HARD_SWISH L2_NORMALIZATION LEAKY_RELU LOG LOGICAL_NOT LOGISTIC
LOG_SOFTMAX NEG QUANTIZE RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 ROUND RSQRT SIN SOFTMAX SQRT SQUARE TANH ZEROS_LIKE
RESHAPE SQUEEZE EXPAND_DIMS TRANSPOSE DEPTH_TO_SPACE SPACE_TO_DEPTH REVERSE_V2
"""
_BROADCAST_NAMES = """
ADD SUB MUL DIV MAXIMUM MINIMUM SQUARED_DIFFERENCE FLOOR_DIV FLOOR_MOD POW PRELU EQUAL NOT_EQUAL GREATER GREATER_EQUAL
LESS LESS_EQUAL LOGICAL_AND LOGICAL_OR
"""

_TRUTHS = "EQUAL NOT_EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND LOGICAL_OR LOGICAL_NOT"
_MOVES = """
CONCATENATION GATHER GATHER_ND MIRROR_PAD PACK PAD PADV2 SLICE SPLIT SPLIT_V STRIDED_SLICE UNPACK BROADCAST_TO
SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND RESIZE_NEAREST_NEIGHBOR RESIZE_BILINEAR MAX_POOL_2D AVERAGE_POOL_2D L2_POOL_2D
MEAN SUM REDUCE_MAX REDUCE_MIN SELECT SELECT_V2
"""
# Inputs that TFLM reads by the type of one of them.
_SAME_TYPES = {
    **dict.fromkeys(_BROADCAST_NAMES.split(), slice(2)),
    **dict.fromkeys(("CONCATENATION", "PACK"), slice(None)),
    **dict.fromkeys(("SELECT", "SELECT_V2"), slice(1, 3)),
    "PADV2": slice(0, 3, 2),
}
_KEEPS_TYPE = {*_SAME_NAMES.split(), *_MOVES.split(), *_BROADCAST_NAMES.split()} - {
    *("CAST", "QUANTIZE", "DEQUANTIZE"),
    *_TRUTHS.split(),
}
# What TFLM's kernel writes beside the type that it reads.
_MORE_TYPES = {("SOFTMAX", schema.TensorType.INT8): (schema.TensorType.INT16,)}
# Where what is moved does not come first.
_PLACES = {"SPLIT": 1, "SELECT": 1, "SELECT_V2": 1}


def unfilled(kind: str, op: schema.OperatorT, tensors: Sequence[Any]) -> str | None:
    """What an op writes beside what its outputs hold, where they differ."""
    sources = [_shape(tensors[t]) for t in op.inputs if t >= 0]
    targets = [_shape(tensors[t]) for t in op.outputs]
    rule = _RULES.get(kind)
    needed = _NUM_SOURCES.get(rule, 1) if rule else 0
    if rule is None or not targets or sum(t >= 0 for t in op.inputs[:needed]) < needed or _is_windowless(kind, op):
        return None  # the reader names what is missing
    if any(0 in shape for shape in (*sources, *targets)):
        return None  # empty, or of a size that is known when it runs; the reader says so
    try:
        written = rule(op.builtinOptions, sources)
    except (ArithmeticError, AttributeError, LookupError, ValueError):
        return "has shapes or options that contradict each other"
    held = sum(map(math.prod, targets))
    return None if written == held else f"writes {written} elements, and its output has {held}"


def mistyped(kind: str, op: schema.OperatorT, tensors: Sequence[Any]) -> str | None:
    """Types that an op's inputs should share, and what it writes, where its outputs are declared as another type."""
    read = {tensors[t].type for t in op.inputs[_SAME_TYPES.get(kind, slice(0))] if t >= 0}
    if len(read) > 1:
        return f"reads {' and '.join(sorted(map(_type, read)))}, which TFLM takes for one type"
    place = _PLACES.get(kind, 0)
    if kind in _TRUTHS.split():
        written = schema.TensorType.BOOL
    elif kind in _KEEPS_TYPE and len(op.inputs) > place and op.inputs[place] >= 0:
        written = tensors[op.inputs[place]].type
    else:
        return None
    more = _MORE_TYPES.get((kind, written), ())
    found = {tensors[t].type for t in op.outputs} - {written, *more}
    return f"writes {_type(written)}, and its output is {_type(min(found))}" if found else None


def _type(value: int) -> str:
    names = {v: name for name, v in vars(schema.TensorType).items() if not name.startswith("_")}
    return names.get(value, f"type {value}")


def _shape(tensor: Any) -> Shape:
    return () if tensor.shape is None else tuple(map(int, tensor.shape))


def _is_windowless(kind: str, op: schema.OperatorT) -> bool:
    return kind.endswith("CONV_2D") and min(op.builtinOptions.strideH, op.builtinOptions.strideW) < 1


def _same(_: Any, sources: Sequence[Shape]) -> int:
    return math.prod(sources[0])


def _broadcast(_: Any, sources: Sequence[Shape]) -> int:
    return math.prod(np.broadcast_shapes(*sources[:2]))


def _select(_: Any, sources: Sequence[Shape]) -> int:
    return math.prod(np.broadcast_shapes(*sources[:3]))


def _all(_: Any, sources: Sequence[Shape]) -> int:
    return sum(map(math.prod, sources))


def _second(_: Any, sources: Sequence[Shape]) -> int:
    return math.prod(sources[1])


def _convolution(options: Any, sources: Sequence[Shape]) -> int:
    (batches, *extents, _), (outputs, *kernel, _) = sources[:2]
    return batches * outputs * _windows(options, extents, kernel)


def _depthwise(options: Any, sources: Sequence[Shape]) -> int:
    (batches, *extents, _), (_, *kernel, outputs) = sources[:2]
    return batches * outputs * _windows(options, extents, kernel)


def _pool(options: Any, sources: Sequence[Shape]) -> int:
    batches, *extents, channels = sources[0]
    return batches * channels * _windows(options, extents, [options.filterHeight, options.filterWidth])


def _windows(options: Any, extents: Sequence[int], kernel: Sequence[int]) -> int:
    """How many windows lie on a map [H, W]."""
    dilations = (getattr(options, "dilationHFactor", 1), getattr(options, "dilationWFactor", 1))
    count = 1
    for extent, size, stride, dilation in zip(
        extents, kernel, (options.strideH, options.strideW), dilations, strict=True
    ):
        if min(extent, size, stride, dilation) < 1:
            raise ValueError("a window of nothing")
        span = 1 if options.padding == schema.Padding.SAME else (size - 1) * dilation + 1
        count *= max(0, -(-(extent - span + 1) // stride))
    return count


_RULES: dict[str, Rule] = {
    **dict.fromkeys(_SAME_NAMES.split(), _same),
    **dict.fromkeys(_BROADCAST_NAMES.split(), _broadcast),
    "SELECT_V2": _select,
    **dict.fromkeys(("CONCATENATION", "PACK"), _all),
    **dict.fromkeys(("SELECT", "SPLIT"), _second),
    **dict.fromkeys(("SPLIT_V", "UNPACK"), _same),
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), _pool),
}
# Inputs that a rule looks at, where it is more than one.
_NUM_SOURCES: dict[Rule, int] = {**dict.fromkeys((_broadcast, _second, _convolution, _depthwise), 2), _select: 3}
