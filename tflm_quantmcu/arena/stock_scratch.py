"""The scratch that TFLM's own reference kernels request: RequestScratchBufferInArena at the pinned version.

In: an op that stays TFLite's own. Out: bytes of each buffer, in the kernel's order; none for most kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tflm_quantmcu.graph.types import ModelGraph, Op

_HOST_POINTER_BYTES = 8
_INT_BYTES = 4
_LONG_BYTES = 8
_CELL_STATE = 19  # of an LSTM's inputs


def reference_scratch_bytes(graph: ModelGraph, op: Op) -> tuple[int, ...]:
    """[buffer]

    Raises:
      IndexError, ValueError: the op has not the inputs of its kind.
    """
    return _SCRATCH[op.kind](graph, op) if op.kind in _SCRATCH else ()


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
    """Sums of each value, in 64 bits where maps have 16; before them a 16-bit bias in 64."""
    source, output = graph.tensors[op.inputs[2]], graph.tensors[op.outputs[0]]
    if source.dtype != "int16":
        return (_INT_BYTES * output.num_elements,) if source.dtype == "int8" else ()
    bias = graph.tensors[op.inputs[3]] if len(op.inputs) > 3 and op.inputs[3] >= 0 else None
    converted = (_LONG_BYTES * bias.num_elements,) if bias and bias.dtype == "int16" else ()
    return (*converted, _LONG_BYTES * output.num_elements)


def _mirror_pad(graph: ModelGraph, op: Op) -> tuple[int, ...]:
    return (_INT_BYTES * len(graph.tensors[op.inputs[0]].shape),) * 2


def _lstm(graph: ModelGraph, op: Op) -> tuple[int, ...]:
    """Four gates, each as large as the cell state."""
    state = graph.tensors[op.inputs[_CELL_STATE]]
    return (state.num_bytes,) * 4


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
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}
