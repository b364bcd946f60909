"""The non-persistent arena of a model, stock or converted, as TFLM records it: feature maps and kernels' scratch.

In: a ModelGraph. Out: bytes. Refuses custom ops of others and LSTMs, whose scratch is not known.
Source: RequestScratchBufferInArena in TFLM's reference kernels at the pinned version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from tflite_micro.tensorflow.lite.python import schema_py_generated as schema

from tflm_quantmcu import memory
from tflm_quantmcu.custom_ops import PATCH_STAGE, PREFIX, program_of
from tflm_quantmcu.errors import UnsupportedModelError
from tflm_quantmcu.types import ModelGraph, Op, Tensor

# Bytes of one value in TFLM's arena where numpy has no type or another idea.
_VALUE_BYTES = {"int4": 1, "bfloat16": 2, "resource": 4}
_HOST_POINTER_BYTES = 8
_INT_BYTES = 4
_KNOWN = {name for name in vars(schema.BuiltinOperator) if not name.startswith("_")}
_KNOWN -= {"UNIDIRECTIONAL_SEQUENCE_LSTM"}


def predict_arena(graph: ModelGraph) -> int:
    """The non-persistent arena bytes that TFLM on this machine records for the model.

    Raises:
      UnsupportedModelError: an op or a tensor whose bytes are not known.
    """
    steps = [memory.Step(op.inputs, op.outputs, op_scratch_bytes(graph, op)) for op in graph.ops]
    return memory.greedy_arena(placed_bytes(graph), steps, graph.inputs, graph.outputs, pinned=graph.offline_offsets)


def placed_bytes(graph: ModelGraph) -> tuple[int, ...]:
    """Bytes of every tensor that TFLM's planner places; 0 for constants, and for variables unless they are pinned.

    Raises:
      UnsupportedModelError: a tensor of a type that TFLM cannot place.
    """
    pinned = graph.offline_offsets or (-1,) * len(graph.tensors)
    return tuple(
        0 if t.is_constant or (t.is_variable and offset == -1) else t.num_elements * _value_bytes(t)
        for t, offset in zip(graph.tensors, pinned, strict=True)
    )


def _value_bytes(tensor: Tensor) -> int:
    try:
        return _VALUE_BYTES.get(tensor.dtype) or np.dtype(tensor.dtype).itemsize
    except TypeError:
        raise UnsupportedModelError(
            f"tensor '{tensor.name}' is {tensor.dtype}, a type that TFLM cannot place in its arena"
        ) from None


def op_scratch_bytes(graph: ModelGraph, op: Op) -> tuple[int, ...]:
    """The scratch buffers that the op's kernel requests, in its order.

    Raises:
      UnsupportedModelError: an LSTM, a custom op that is not ours, or an op without the inputs of its kind.
    """
    if op.kind in _SCRATCH:
        try:
            return _SCRATCH[op.kind](graph, op)
        except (IndexError, ValueError):
            shapes = [graph.tensors[t].shape for t in op.inputs if t >= 0]
            raise UnsupportedModelError(
                f"{op.kind} (op {op.index}) has inputs of shapes {shapes}, which do not make such an op"
            ) from None
    if op.kind in _KNOWN or op.kind.startswith(PREFIX):
        return ()
    raise UnsupportedModelError(
        f"how much scratch {op.kind} (op {op.index}) takes is not known; supported are {PREFIX} ops and TFLite's own "
        "except LSTMs"
    )


def _filter(graph: ModelGraph, op: Op) -> tuple[int, ...]:
    """A 4-bit filter is unpacked as a whole."""
    weights = graph.tensors[op.inputs[1]]
    return (weights.num_elements,) if weights.dtype == "int4" else ()


def _iterators(graph: ModelGraph, op: Op) -> tuple[int, ...]:
    rank = len(graph.tensors[op.inputs[0]].shape)
    return _INT_BYTES * rank, _INT_BYTES * graph.tensors[op.inputs[1]].num_elements


def _mean(graph: ModelGraph, op: Op) -> tuple[int, ...]:
    accumulators = (_INT_BYTES * graph.tensors[op.outputs[0]].num_elements,)
    is_integer = graph.tensors[op.inputs[0]].dtype in ("int8", "int16")
    return (accumulators if is_integer else ()) + _iterators(graph, op)


def _transpose_conv(graph: ModelGraph, op: Op) -> tuple[int, ...]:
    output = graph.tensors[op.outputs[0]]
    return (_INT_BYTES * output.num_elements,) if output.dtype == "int8" else ()


def _mirror_pad(graph: ModelGraph, op: Op) -> tuple[int, ...]:
    return (_INT_BYTES * len(graph.tensors[op.inputs[0]].shape),) * 2


def _svdf(graph: ModelGraph, op: Op) -> tuple[int, ...]:
    batch, _ = graph.tensors[op.inputs[0]].shape
    num_filters, _ = graph.tensors[op.inputs[1]].shape
    output = graph.tensors[op.outputs[0]]
    sums = (_INT_BYTES * output.num_elements,) if output.dtype == "int8" else ()
    return (_INT_BYTES * batch * num_filters, *sums)


_SCRATCH: Mapping[str, Callable[[ModelGraph, Op], tuple[int, ...]]] = {
    "CONV_2D": _filter,
    "DEPTHWISE_CONV_2D": _filter,
    "FULLY_CONNECTED": _filter,
    "MEAN": _mean,
    "SUM": _mean,
    "REDUCE_MAX": _iterators,
    "REDUCE_MIN": _iterators,
    "REDUCE_ALL": _iterators,
    "TRANSPOSE_CONV": _transpose_conv,
    "ADD_N": lambda graph, op: (_HOST_POINTER_BYTES * len(op.inputs),),
    "MIRROR_PAD": _mirror_pad,
    "SVDF": _svdf,
    PATCH_STAGE: lambda graph, op: (program_of(graph, op).scratch_bytes,),
}
