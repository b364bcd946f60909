"""The non-persistent arena of a model, stock or converted, as TFLM records it: feature maps and kernels' scratch.

In: a ModelGraph, and which variant of our kernels runs it. Out: bytes. Refuses custom ops of others, whose scratch
is not known.
Source: RequestScratchBufferInArena in TFLM's reference kernels at the pinned version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.op_kind import OpKind
from tflm_quantmcu.graph.op_kinds import OP_KINDS
from tflm_quantmcu.graph.target import KERNEL_VARIANTS, REFERENCE
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor, Window
from tflm_quantmcu.law.kernel_calls import Conv2DParams, DepthwiseConv2DParams, FeatureMap, FullyConnectedParams
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.native.kernel_scratch import kernel_scratch_bytes, stage_scratch_bytes
from tflm_quantmcu.placement import memory
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, PREFIX, decode_options, program_of
from tflm_quantmcu.tflite import schema

# Bytes of one value in TFLM's arena where numpy has no type or another idea.
_VALUE_BYTES = {"int4": 1, "bfloat16": 2, "resource": 4}
_HOST_POINTER_BYTES = 8
_INT_BYTES = 4
_KNOWN = {name for name in vars(schema.BuiltinOperator) if not name.startswith("_")}
_CELL_STATE = 19  # of an LSTM's inputs


def arena_by_variant(graph: ModelGraph) -> dict[str, int]:
    """Variant of our kernels -> `predict_arena`; the largest of these bytes hold the model on every core."""
    return {variant: predict_arena(graph, variant) for variant in KERNEL_VARIANTS}


def predict_arena(graph: ModelGraph, variant: str = REFERENCE) -> int:
    """The non-persistent arena bytes that TFLM records for the model.

    Args:
      graph: the model.
      variant: of our kernels; stock ops run on TFLM's own. This machine's is the reference.

    Raises:
      UnsupportedModelError: an op or a tensor whose bytes are not known.
    """
    scratch = [op_scratch_bytes(graph, op, variant) for op in graph.ops]
    return arena_around(graph, scratch, graph.offline_offsets)


def arena_around(
    graph: ModelGraph, scratch_bytes: Sequence[tuple[int, ...]], pinned: Sequence[int] | None = None
) -> int:
    """The non-persistent arena bytes that TFLM makes of the model around pinned offsets.

    Args:
      graph: the model.
      scratch_bytes: [op] its scratch buffers.
      pinned: [tensor] offset, -1 where TFLM chooses; None pins nothing, whatever the file says.
    """
    steps = [memory.Step(op.inputs, op.outputs, n) for op, n in zip(graph.ops, scratch_bytes, strict=True)]
    return memory.greedy_arena(placed_bytes(graph), steps, graph.inputs, graph.outputs, pinned=pinned)


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


def op_scratch_bytes(graph: ModelGraph, op: Op, variant: str = REFERENCE) -> tuple[int, ...]:
    """The scratch buffers that the op's kernel requests, in its order; of an op of ours one or none.

    Args:
      graph: the model.
      op: of it.
      variant: of our kernels; stock ops run on TFLM's own.

    Raises:
      UnsupportedModelError: a custom op that is not ours, an op without the inputs of its kind, or one of ours
        that is malformed.
    """
    if op.kind in _SCRATCH:
        try:
            return _SCRATCH[op.kind](graph, op)
        except (IndexError, ValueError):
            shapes = [graph.tensors[t].shape for t in op.inputs if t >= 0]
            raise UnsupportedModelError(
                f"{op.kind} (op {op.index}) has inputs of shapes {shapes}, which do not make such an op"
            ) from None
    if op.kind in (PATCH_STAGE, *_OURS):
        try:
            return _own_scratch(graph, op, variant)
        except (ArithmeticError, IndexError, KeyError, TypeError, ValueError) as error:
            raise UnsupportedModelError(f"{op.kind} (op {op.index}) is malformed: {error!r}") from None
    if op.kind in _KNOWN or op.kind.startswith(PREFIX):
        return ()
    raise UnsupportedModelError(
        f"how much scratch {op.kind} (op {op.index}) takes is not known; supported are {PREFIX} ops and TFLite's own"
    )


def lowered_scratch_bytes(graph: ModelGraph, op: Op, variant: str) -> int:
    """Scratch of the op of ours that carries an op of an 8-bit model over, outside of stages."""
    lowered = LoweredNetwork.of(graph).lower(op)
    kind, filter = lowered.traits, lowered.filter
    if variant == REFERENCE or not kind.takes_scratch:
        return 0
    assert filter is not None
    ends = []
    for t in (lowered.inputs[0], lowered.output):
        shape = graph.tensors[t].shape
        height, width, channels = (1, 1, graph.tensors[t].num_elements) if kind.is_vector else shape[1:]
        ends.append(FeatureMap(height, width, channels, width * channels, 8, 0))
    params = _filter_params(kind, ends, lowered.window, filter.bits, lowered.depth_multiplier)
    return kernel_scratch_bytes(variant, kind.kernel, params)


def converted_scratch_bytes(graph: ModelGraph, op: Op) -> tuple[int, ...]:
    """`op_scratch_bytes` of an op of a model that is yet to be converted: ours keep INT4 filters as they are."""
    has_filter = op.traits.has_filter and graph.tensors[op.inputs[1]].dtype == "int4"
    return () if has_filter and LoweredNetwork.of(graph).is_ours(op) else op_scratch_bytes(graph, op)


def largest_scratch_bytes(graph: ModelGraph, op: Op) -> tuple[int, ...]:
    """`op_scratch_bytes` of the variant that requests the most."""
    return max((op_scratch_bytes(graph, op, variant) for variant in KERNEL_VARIANTS), key=sum)


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


def _lstm(graph: ModelGraph, op: Op) -> tuple[int, ...]:
    """Four gates, each as large as the cell state."""
    state = graph.tensors[op.inputs[_CELL_STATE]]
    return (state.num_elements * _value_bytes(state),) * 4


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

# The kernels of ours that take scratch on some core.
_OURS = {PREFIX + kind.name: kind for kind in OP_KINDS.values() if kind.takes_scratch}


def _own_scratch(graph: ModelGraph, op: Op, variant: str) -> tuple[int, ...]:
    if op.kind == PATCH_STAGE:
        return (stage_scratch_bytes(variant, program_of(graph, op)),)
    num_bytes = 0 if variant == REFERENCE else kernel_scratch_bytes(variant, _OURS[op.kind].kernel, _params(graph, op))
    return (num_bytes,) if num_bytes else ()


def _params(graph: ModelGraph, op: Op) -> Any:
    """What an op of ours with weights calls its kernel with, as its options say (docs/format.md F3)."""
    kind, options = _OURS[op.kind], decode_options(op.custom_options)

    def view(prefix: str, tensor: int) -> FeatureMap:
        height, width = (1, 1) if kind.is_vector else graph.tensors[tensor].shape[1:3]
        channels, bits = options[f"{prefix}_channels"], options[f"{prefix}_bits"]
        return FeatureMap(height, width, channels, width * run_bytes(channels, bits), bits, 0)

    ends = view("input", op.inputs[0]), view("output", op.outputs[0])
    window = Window(**{f.name: options[f.name] for f in dataclasses.fields(Window) if f.name in options})
    return _filter_params(kind, ends, window, options["weight_bits"], options.get("depth_multiplier", 1))


def _filter_params(
    kind: OpKind, ends: Sequence[FeatureMap], window: Window, weight_bits: int, depth_multiplier: int
) -> Any:
    """What decides the scratch of a kernel with a filter; clamps do not."""
    source, output = ends
    if kind.is_vector:
        return FullyConnectedParams(source, output, (0, 0), weight_bits)
    if kind.is_depthwise:
        return DepthwiseConv2DParams(source, output, window, (0, 0), weight_bits, depth_multiplier)
    return Conv2DParams(source, output, window, (0, 0), weight_bits)
