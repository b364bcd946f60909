"""Ops that compute on constants and on shapes are computed here: SHAPE, STRIDED_SLICE and PACK in front of a RESHAPE.

TFLite leaves them where a model's batch was open. Shapes are static here, so that their results are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.model_file import ModelFile

_PLAIN = ("int32", "int64")


def fold_constants(model: ModelFile) -> schema.ModelT | None:
    """The model's tree with their results in their place, or None where there are none."""
    found = _results(model.graph)
    if not found:
        return None
    tree = named_tree(model)
    subgraph = tree.subgraphs[0]
    for t, values in found.items():
        tree.buffers.append(schema.BufferT(data=np.frombuffer(values.tobytes(), np.uint8)))
        subgraph.tensors[t].buffer = len(tree.buffers) - 1
    subgraph.operators = [
        operator for op, operator in zip(model.graph.ops, subgraph.operators, strict=True) if op.outputs[0] not in found
    ]
    return tree


def _results(graph: ModelGraph) -> dict[int, np.ndarray]:
    """Output -> its values, of the ops that are computed."""
    known: dict[int, np.ndarray] = {t.index: t.data for t in graph.tensors if t.data is not None}
    found: dict[int, np.ndarray] = {}
    for op in graph.ops:
        output = graph.tensors[op.outputs[0]]
        if len(op.outputs) > 1 or output.index in graph.outputs or output.dtype not in _PLAIN:
            continue
        values = _computed(graph, op, known)
        if values is not None and values.size == output.num_elements:
            dtype = np.dtype(output.dtype).newbyteorder("<")
            found[output.index] = known[output.index] = np.array(values.reshape(output.shape), dtype)
    return found


def _computed(graph: ModelGraph, op: Op, known: Mapping[int, np.ndarray]) -> np.ndarray | None:
    if op.kind == "SHAPE":
        return np.array(graph.tensors[op.inputs[0]].shape, np.int64)
    if op.kind not in _FUNCTIONS or op.activation != "NONE" or not all(t in known for t in op.inputs):
        return None
    if any(graph.tensors[t].dtype not in _PLAIN for t in op.inputs):
        return None
    return _FUNCTIONS[op.kind](op, *(known[t] for t in op.inputs))


def _strided_slice(
    op: Op, x: np.ndarray, begins: np.ndarray, ends: np.ndarray, strides: np.ndarray
) -> np.ndarray | None:
    if op.options.get("ellipsisMask") or op.options.get("newAxisMask"):
        return None
    place: list[slice | int] = []
    for d, (begin, end, stride) in enumerate(zip(begins.tolist(), ends.tolist(), strides.tolist(), strict=True)):
        if int(op.options.get("shrinkAxisMask", 0)) >> d & 1:
            place.append(begin)
            continue
        masks = (int(op.options.get(name, 0)) >> d & 1 for name in ("beginMask", "endMask"))
        first, last = (None if is_open else bound for is_open, bound in zip(masks, (begin, end), strict=True))
        place.append(slice(first, last, stride))
    return x[tuple(place)]


_FUNCTIONS: Mapping[str, Callable[..., np.ndarray | None]] = {
    "ADD": lambda op, a, b: a + b,
    "CAST": lambda op, x: x,
    "CONCATENATION": lambda op, *parts: np.concatenate(parts, op.axis),
    "EXPAND_DIMS": lambda op, x, axis: x,
    "GATHER": lambda op, x, indices: np.take(x, indices, int(op.options.get("axis", 0))),
    "MUL": lambda op, a, b: a * b,
    "PACK": lambda op, *parts: np.stack(parts, int(op.options.get("axis", 0))),
    "RESHAPE": lambda op, x, *shape: x,
    "SQUEEZE": lambda op, x: x,
    "STRIDED_SLICE": _strided_slice,
    "SUB": lambda op, a, b: a - b,
}
