"""What Prepare of each op allocates, in its order: temporary TfLiteTensors, and bytes that are kept.

Source: the kernels' Prepare at the pinned version, TFLM's reference kernels' and, where they differ, CMSIS-NN's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tflm_quantmcu.arena.cmsis_nn import cmsis_nn_kept_bytes
from tflm_quantmcu.graph.target import CMSIS_NN
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.stage.custom_ops import PREFIX

_WORD = 4  # of C's int
_SOFTMAX_TABLE = 2 * 513  # bytes of one of the two tables of an int16 SOFTMAX
_Tensors = Sequence[Tensor]


def prepare_steps(graph: ModelGraph, op: Op, variant: str, stock_kernels: str) -> Sequence[Tensor | int]:
    """A temporary TfLiteTensor of a tensor, or so many bytes to keep, each.

    Args:
      graph: the model.
      op: of it.
      variant: of our kernels, which names the core's instructions for CMSIS-NN's too.
      stock_kernels: of the ops that stay TFLite's own, one of STOCK_KERNELS.
    """
    if op.kind.startswith(PREFIX):
        return ()
    inputs = [graph.tensors[t] for t in op.inputs if t >= 0]
    outputs = [graph.tensors[t] for t in op.outputs]
    if op.kind in _CONVOLUTIONS:
        has_tables = stock_kernels != CMSIS_NN or inputs[0].dtype != "float32"
        return *outputs, *inputs[:2], *(_tables(graph, op) if has_tables else ()), *inputs, *outputs
    steps: list[Tensor | int] = [*_TEMPORARY.get(op.kind, _all)(inputs, outputs), *_tables(graph, op)]
    if op.kind in _WRITABLE_DIMS:
        steps += [_WORD * (1 + len(tensor.shape)) for tensor in outputs]
    if stock_kernels == CMSIS_NN:
        steps += [*inputs, *outputs] if op.kind == "AVERAGE_POOL_2D" else []
        steps += cmsis_nn_kept_bytes(graph, op, variant)
    return steps


def _all(inputs: _Tensors, outputs: _Tensors) -> _Tensors:
    return *inputs, *outputs


def _none(inputs: _Tensors, outputs: _Tensors) -> _Tensors:
    return ()


def _first(inputs: _Tensors, outputs: _Tensors) -> _Tensors:
    return *inputs[:1], *outputs


def _reduction(inputs: _Tensors, outputs: _Tensors) -> _Tensors:
    return *inputs[:1], *outputs, *inputs[1:], *inputs, *outputs


_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_WITHOUT_PREPARE = (
    *("ARG_MAX", "ARG_MIN", "FLOOR", "LOGICAL_AND", "LOGICAL_OR", "MAXIMUM", "MINIMUM", "NEG", "PACK", "SHAPE"),
    *("TRANSPOSE", "UNPACK"),
)
_OF_FIRST = ("BATCH_TO_SPACE_ND", "RESHAPE", "SPACE_TO_BATCH_ND", "SQUEEZE")
_COMPARISONS = ("EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL")
_REDUCTIONS = ("MEAN", "REDUCE_ALL", "REDUCE_MAX", "REDUCE_MIN", "SUM")
# Kind -> temporary tensors of a node's inputs and outputs; of all of them where it is absent.
_TEMPORARY: Mapping[str, Callable[[_Tensors, _Tensors], _Tensors]] = {
    **dict.fromkeys(_WITHOUT_PREPARE, _none),
    **dict.fromkeys(_OF_FIRST, _first),
    **dict.fromkeys(_COMPARISONS, lambda inputs, outputs: inputs),
    **dict.fromkeys(_REDUCTIONS, _reduction),
    "CONCATENATION": lambda inputs, outputs: (*inputs[:1], *outputs, *inputs),
    "RELU6": lambda inputs, outputs: inputs,
    "SPLIT": lambda inputs, outputs: inputs[:1],
    "SPLIT_V": lambda inputs, outputs: inputs[2:],
    "TANH": lambda inputs, outputs: (*inputs, *outputs, *inputs),
}
# Kinds whose output gets dimensions of its own.
_WRITABLE_DIMS = ("DEPTH_TO_SPACE", "EMBEDDING_LOOKUP", "GATHER", "GATHER_ND", "L2_POOL_2D", "SPACE_TO_DEPTH")


def _tables(graph: ModelGraph, op: Op) -> list[int]:
    """A multiplier and a shift a channel; exp(x) and 1 / (1 + x) of an int16 SOFTMAX."""
    kind = op.traits
    if op.kind == "SOFTMAX" and graph.tensors[op.inputs[0]].dtype == "int16":
        return [_SOFTMAX_TABLE] * 2
    if not kind.has_filter:
        return []
    weights = graph.tensors[op.inputs[1]]
    if kind.is_windowed:
        channels = weights.shape[kind.weight_axis]
    else:
        channels = len(weights.scales) if len(weights.scales) > 1 else 0
    return [_WORD * channels] * 2 if channels else []
