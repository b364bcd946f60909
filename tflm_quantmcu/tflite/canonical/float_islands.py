"""An activation between a DEQUANTIZE and a QUANTIZE becomes the int8 op of its kind, where that gives the same bytes.

TFLite leaves some activations of int8 models in float32. There each value takes four bytes, and no stage holds it. All
256 values are tried: in float32 as TFLM's kernels compute them, of a function of a C library also with its last bits
changed, and by the int8 op. Where a byte differs, or depends on these bits, the island stays. A GELU, which TFLM has no
float kernel of, always is the int8 one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tflm_quantmcu.graph.types import Format, ModelGraph, Op
from tflm_quantmcu.law.fixed_point import round_half_away
from tflm_quantmcu.law.lookups import Lookup, lookup_kind
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.model_builder import ModelBuilder
from tflm_quantmcu.tflite.model_file import ModelFile

_ULPS = (-2, 0, 2)  # by which a C library's function may be off
_INT8 = (-128, 127)
_NO_BYTE = 999  # of what is no number, or beyond int32, which cores quantize each in their way
_MOST_STEPS = 2.0**30

# Kind -> options of the int8 op; a SQUARE is a MUL of a map and itself.
_OPTIONS: Mapping[str, Callable[[Op], Any]] = {
    "ABS": lambda op: schema.AbsOptionsT(),
    "ELU": lambda op: None,
    "EXP": lambda op: schema.ExpOptionsT(),
    "GELU": lambda op: schema.GeluOptionsT(approximate=bool(op.options.get("approximate"))),
    "LEAKY_RELU": lambda op: schema.LeakyReluOptionsT(alpha=op.alpha),
    "NEG": lambda op: schema.NegOptionsT(),
    "SQUARE": lambda op: schema.MulOptionsT(),
}
# float32 values and alpha -> float32.
_FUNCTIONS: Mapping[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "ABS": lambda x, _: np.abs(x),
    "ELU": lambda x, _: np.where(x < 0, np.expm1(np.minimum(x, 0)), x),
    "EXP": lambda x, _: np.exp(x),
    "LEAKY_RELU": lambda x, alpha: np.where(x > 0, x, x * np.float32(alpha)),
    "NEG": lambda x, _: -x,
    "SQUARE": lambda x, _: x * x,
}
_OF_LIBRARY = ("ELU", "EXP")
# TFLM has none in float32 either, so that there are no other bytes.
_ALWAYS = ("GELU",)


def quantize_islands(model: ModelFile) -> schema.ModelT | None:
    """The model's tree with int8 ops in their place, or None where there is none."""
    graph = model.graph
    found = {op.index: island for op in graph.ops if (island := _island_of(graph, op))}
    if not found:
        return None
    tree = named_tree(model)
    builder = ModelBuilder(tree)
    left_out = {middle.index for middle, _ in found.values()}
    left_out |= {d.index for _, d in found.values() if _is_read_once(graph, d.outputs[0])}
    kept = []
    for op, operator in zip(graph.ops, tree.subgraphs[0].operators, strict=True):
        if op.index in found:
            middle, dequantize = found[op.index]
            kept.append(_int8_op(builder, middle, dequantize.inputs[0], op.outputs[0]))
        elif op.index not in left_out:
            kept.append(operator)
    tree.subgraphs[0].operators = kept
    return tree


def _island_of(graph: ModelGraph, op: Op) -> tuple[Op, Op] | None:
    """The activation before a QUANTIZE and the DEQUANTIZE before that, if one int8 op gives the same bytes."""
    middle = graph.producer.get(op.inputs[0]) if op.kind == "QUANTIZE" else None
    if middle is None or middle.kind not in _OPTIONS or len(middle.inputs) != 1:
        return None
    dequantize = graph.producer.get(middle.inputs[0])
    if dequantize is None or dequantize.kind != "DEQUANTIZE":
        return None
    source, output = graph.tensors[dequantize.inputs[0]], graph.tensors[op.outputs[0]]
    inner = (middle.outputs[0], dequantize.outputs[0])
    if not _is_read_once(graph, inner[0]):
        return None
    if any(t.dtype != "int8" or len(t.scales) != 1 for t in (source, output)) or source.shape != output.shape:
        return None
    if any(graph.tensors[t].dtype != "float32" for t in inner):
        return None
    return (middle, dequantize) if _are_bytes_equal(middle, source.format, output.format) else None


def _is_read_once(graph: ModelGraph, tensor: int) -> bool:
    return len(graph.consumers[tensor]) == 1 and tensor not in graph.outputs


def _are_bytes_equal(op: Op, source: Format, output: Format) -> bool:
    if op.kind in _ALWAYS:
        return True
    try:
        table = Lookup(lookup_kind(op), source, output, alpha=op.alpha).table(source, output, _INT8)
    except ValueError:  # TFLM's int8 kernel does not take these formats
        return False
    shifts = _ULPS if op.kind in _OF_LIBRARY else (0,)
    return all(np.array_equal(table, _float_bytes(op, source, output, ulps)) for ulps in shifts)


def _float_bytes(op: Op, source: Format, output: Format, ulps: int) -> np.ndarray:
    """What the island gives for all 256 values, int16, with the activation off by so many of its last bits."""
    x = np.float32(source.scale) * (np.arange(-128, 128) - source.zero_point).astype(np.float32)
    with np.errstate(all="ignore"):
        y = _FUNCTIONS[op.kind](x, op.alpha)
        y = y + np.where(y == x, np.float32(0), np.float32(ulps)) * np.spacing(y)
        steps = np.nan_to_num((y / np.float32(output.scale)).astype(np.float64))
    found = np.clip(round_half_away(steps) + output.zero_point, *_INT8)
    is_known = np.isfinite(y) & (np.abs(steps) < _MOST_STEPS)
    return np.where(is_known, found, _NO_BYTE).astype(np.int16)


def _int8_op(builder: ModelBuilder, op: Op, source: int, output: int) -> schema.OperatorT:
    inputs = [source, source] if op.kind == "SQUARE" else [source]
    kind = "MUL" if op.kind == "SQUARE" else op.kind
    return builder.builtin(kind, inputs, output, _OPTIONS[op.kind](op))
