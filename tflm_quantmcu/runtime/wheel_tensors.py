"""Tensors of a model as TFLM's wheel has them: its inputs and outputs, and which others can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.tflite import schema

# What the wheel reads element for element; of int4, for one, it would read beyond the end.
_READABLE_TYPES = frozenset(
    getattr(schema.TensorType, name) for name in ("BOOL", "INT8", "UINT8", "INT16", "INT32", "INT64", "FLOAT32")
)


def tensors_of(
    graph: schema.SubGraphT, indices: np.ndarray, details_of: Callable[[int], Mapping[str, Any]]
) -> tuple[Tensor, ...]:
    """Tensors of these indices, int32 [tensors], by what the wheel says of each.

    Raises:
      UnsupportedModelError: there are none.
    """
    if not len(indices):
        raise UnsupportedModelError("the model has no inputs or no outputs")
    return tuple(_tensor(graph, int(t), details_of(i)) for i, t in enumerate(indices))


def _tensor(graph: schema.SubGraphT, index: int, details: Mapping[str, Any]) -> Tensor:
    quantization = details["quantization_parameters"]
    return Tensor(
        index=index,
        name=(graph.tensors[index].name or b"").decode(errors="replace"),
        shape=tuple(int(d) for d in details["shape"]),
        dtype=np.dtype(details["dtype"]).name,
        scales=tuple(float(s) for s in quantization["scales"]),
        zero_points=tuple(int(z) for z in quantization["zero_points"]),
    )


def fitted(array: np.ndarray, tensor: Tensor) -> np.ndarray:
    """An array of an input's dtype and shape, which may lack a batch dimension of 1, in that shape.

    Raises:
      UsageError: it has another.
    """
    shapes = (tensor.shape, tensor.shape[1:]) if tensor.shape[:1] == (1,) else (tensor.shape,)
    if array.dtype != tensor.dtype or array.shape not in shapes:
        raise UsageError(
            f"input {tensor.name} is {array.dtype} {array.shape}; the model takes {tensor.dtype} {tensor.shape}"
        )
    return array.reshape(tensor.shape)


def readable_tensors(tree: schema.ModelT) -> frozenset[int]:
    """Tensors of the first subgraph that have memory, in a type that the wheel reads rightly."""
    graph = tree.subgraphs[0]
    written = set(graph.inputs).union(*(op.outputs for op in graph.operators or ()))
    return frozenset(
        i
        for i, tensor in enumerate(graph.tensors)
        if tensor.type in _READABLE_TYPES and (i in written or _has_data(tree.buffers[tensor.buffer]))
    )


def _has_data(buffer: schema.BufferT) -> bool:
    return buffer.data is not None and len(buffer.data) > 0
