"""Reads a `.tflite` into a ModelGraph, and says whether it is a full-integer int8 model.

In: the file's bytes. Out: ModelGraph. Refuses damaged files, shapes that are not static, and
constants that TFLM cannot read; `require_full_integer` refuses every other way to quantise.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.op_kinds import op_kind
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.subgraphs import joined
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor, Window, numpy_type
from tflm_quantmcu.law.packing import run_bytes, unpack
from tflm_quantmcu.placement.memory import OFFLINE_METADATA
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.flatbuffer_check import check_flatbuffer
from tflm_quantmcu.tflite.full_integer import require_full_integer as require_full_integer
from tflm_quantmcu.tflite.metadata import plan_of, read_metadata, target_of
from tflm_quantmcu.tflite.op_check import SINKS, kind_of
from tflm_quantmcu.tflite.streaming import find_streamed_input

COMPRESSION_METADATA = "COMPRESSION_METADATA"


def _names(enum: type) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if not name.startswith("_")}


_ACTIVATIONS = _names(schema.ActivationFunctionType)
_DTYPES = {value: name.lower() for value, name in _names(schema.TensorType).items()}
_NOT_NUMPY = ("string", "resource", "variant", "bfloat16", "uint4", "int2")


def load_model_t(data: bytes) -> schema.ModelT:
    """The file as the schema's object tree, for rewriting.

    Raises:
      UnsupportedModelError: not a whole `.tflite` file.
    """
    return check_flatbuffer(data)


def read_model(data: bytes) -> ModelGraph:
    """Reads a model.

    Raises:
      UnsupportedModelError: the file is damaged, or the model is not one static graph.
    """
    return graph_of(load_model_t(data), hashlib.sha256(data).hexdigest())


def read_plan(data: bytes) -> PrecisionPlan | None:
    """The plan that a converted model carries, or None if it was stripped.

    Raises:
      UnsupportedModelError: the file is damaged.
      UsageError: the plan cannot be read.
    """
    return plan_of(load_model_t(data))


def graph_of(model: schema.ModelT, sha256: str) -> ModelGraph:
    """The graph of an object tree; see `read_model`."""
    if read_metadata(model, COMPRESSION_METADATA) is not None:
        raise UnsupportedModelError(
            "the model is compressed by TFLM's tool; give the model from before its compression"
        )
    offline = read_metadata(model, OFFLINE_METADATA)
    count = sum(len(subgraph.tensors) for subgraph in model.subgraphs)
    offsets = None if offline is None else _offsets(offline, count)
    parts = []
    for subgraph in model.subgraphs:
        own = None if offsets is None else offsets[: len(subgraph.tensors)]
        offsets = None if offsets is None else offsets[len(subgraph.tensors) :]
        parts.append(_read_subgraph(model, subgraph, sha256, own))
    return joined(parts)


def _read_subgraph(
    model: schema.ModelT, subgraph: schema.SubGraphT, sha256: str, offline_offsets: tuple[int, ...] | None
) -> ModelGraph:
    tensors = _read_tensors(model, subgraph)
    ops = tuple(_read_op(model, tensors, index, op) for index, op in enumerate(subgraph.operators or ()))
    graph = ModelGraph(
        tensors=tensors,
        ops=ops,
        inputs=_indices(subgraph.inputs),
        outputs=_indices(subgraph.outputs),
        sha256=sha256,
        offline_offsets=offline_offsets,
        streamed_input=find_streamed_input(model),
        target=target_of(model),
    )
    _check_feature_maps(graph, subgraph)
    return graph


def _read_tensors(model: schema.ModelT, subgraph: schema.SubGraphT) -> tuple[Tensor, ...]:
    written = {t for op in subgraph.operators or () for t in op.outputs}
    given = set(_indices(subgraph.inputs))
    read = {t for op in subgraph.operators or () for t in op.inputs}
    names: set[str] = set()
    tensors = []
    for index, tensor in enumerate(subgraph.tensors):
        name = _text(tensor.name)
        while not name or name in names:
            name += f"#{index}"
        names.add(name)
        if tensor.sparsity is not None and index in read:
            raise UnsupportedModelError(f"tensor '{name}' is sparse; TFLM reads dense constants only")
        shape = _indices(tensor.shape)
        dtype = _DTYPES.get(tensor.type, f"type {tensor.type}")
        contents = _contents(model.buffers[tensor.buffer])
        is_empty = 0 in shape and index not in written and index not in given
        scales, zero_points = _quantization(tensor.quantization)
        tensors.append(
            Tensor(
                index=index,
                name=name,
                shape=shape,
                dtype=dtype,
                scales=scales,
                zero_points=zero_points,
                quantized_dimension=tensor.quantization.quantizedDimension if scales else 0,
                data=_values(contents, dtype, shape) if contents or is_empty else None,
                is_variable=bool(tensor.isVariable),
            )
        )
    return tuple(tensors)


def _quantization(
    quantization: schema.QuantizationParametersT | None,
) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Scales and zero points as TFLM sees them: scales count only beside zero points, of which one may stand for
    all."""
    if quantization is None or quantization.scale is None or quantization.zeroPoint is None:
        return (), ()
    scales = tuple(float(np.float32(s)) for s in quantization.scale)
    zero_points = _indices(quantization.zeroPoint)
    if not scales or not zero_points:
        return (), ()
    return scales, zero_points if len(zero_points) == len(scales) else zero_points[:1] * len(scales)


def _values(contents: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """A constant's values; raw bytes for types that numpy does not have."""
    if dtype in _NOT_NUMPY or dtype.startswith("type "):
        return np.frombuffer(contents, np.uint8)
    count = math.prod(shape)
    try:
        if dtype == "int4":
            packed = np.frombuffer(contents, np.uint8)[: run_bytes(count, 4)]
            return unpack(packed, 4, count).reshape(shape)
        known = numpy_type(dtype)
        if known is None:
            return np.frombuffer(contents, np.uint8)
        return np.frombuffer(contents, known.newbyteorder("<"), count).reshape(shape)
    except ValueError:
        raise UnsupportedModelError(
            f"a {dtype} constant of shape {list(shape)} has {len(contents)} bytes, which do not make that shape"
        ) from None


def _read_op(model: schema.ModelT, tensors: tuple[Tensor, ...], index: int, op: schema.OperatorT) -> Op:
    kind = kind_of(model.operatorCodes[op.opcodeIndex])
    inputs, outputs = _indices(op.inputs), _indices(op.outputs)
    needed = op_kind(kind).num_inputs
    if (not outputs and kind not in SINKS) or min((*inputs, *[-1] * needed)[:needed], default=0) < 0:
        raise UnsupportedModelError(
            f"{kind} (op {index}) has inputs {list(inputs)} and outputs {list(outputs)}; "
            f"it needs at least {needed} of the first and 1 of the second"
        )
    options = op.builtinOptions
    return Op(
        index=index,
        kind=kind,
        inputs=inputs,
        outputs=outputs,
        window=_read_window(kind, index, options, [tensors[t] for t in (*inputs[:2], *outputs[:1])]),
        activation=_ACTIVATIONS.get(getattr(options, "fusedActivationFunction", 0), "NONE"),
        depth_multiplier=getattr(options, "depthMultiplier", 1),
        pads=_read_pads(tensors[inputs[1]]) if op_kind(kind).is_pad else (),
        axis=int(getattr(options, "axis", 0)) if kind == "CONCATENATION" else 0,
        beta=float(np.float32(getattr(options, "beta", 1))) if kind == "SOFTMAX" else 1.0,
        alpha=float(np.float32(getattr(options, "alpha", 0))) if kind == "LEAKY_RELU" else 0.0,
        align_corners=bool(getattr(options, "alignCorners", False)),
        half_pixel_centers=bool(getattr(options, "halfPixelCenters", False)),
        options=_numbers(options),
        custom_options=b"" if op.customOptions is None else bytes(op.customOptions),
    )


def _numbers(options: Any) -> dict[str, int | float]:
    fields = vars(options) if options is not None else {}
    return {name: value for name, value in fields.items() if isinstance(value, (int, float))}


def _read_window(kind: str, index: int, options: Any, tensors: list[Tensor]) -> Window | None:
    if not op_kind(kind).is_windowed:
        return None
    source, output = tensors[0], tensors[-1]
    maps = (source, output) if op_kind(kind).is_pool else (source, tensors[1], output)
    if any(len(t.shape) != 4 for t in maps):
        raise UnsupportedModelError(
            f"{kind} '{output.label}' (op {index}) has tensors of shape {[list(t.shape) for t in maps]}; "
            "it needs four dimensions each"
        )
    if op_kind(kind).is_pool:
        kernel = (options.filterHeight, options.filterWidth)
        dilation = (1, 1)
    else:
        kernel = (tensors[1].shape[1], tensors[1].shape[2])
        dilation = (options.dilationHFactor, options.dilationWFactor)
    stride = (options.strideH, options.strideW)
    is_same = options.padding == schema.Padding.SAME
    pads = [
        max(0, (o - 1) * s + (k - 1) * d + 1 - i) // 2 if is_same else 0
        for o, s, k, d, i in zip(output.shape[1:3], stride, kernel, dilation, source.shape[1:3], strict=True)
    ]
    if min(*stride, *kernel, *dilation) < 1:
        raise UnsupportedModelError(
            f"{kind} '{output.label}' (op {index}) has stride {stride}, kernel {kernel} and dilation {dilation}; "
            "each must be at least 1"
        )
    return Window(*kernel, *stride, *dilation, *pads)


def _read_pads(paddings: Tensor) -> tuple[tuple[int, int], ...]:
    if paddings.data is None or paddings.data.ndim != 2 or paddings.data.shape[1] != 2:
        return ()
    return tuple((int(before), int(after)) for before, after in paddings.data)


def _check_feature_maps(graph: ModelGraph, subgraph: schema.SubGraphT) -> None:
    used = {t for op in graph.ops for t in (*op.inputs, *op.outputs) if t >= 0}
    for t in sorted(used | {*graph.inputs, *graph.outputs}):
        tensor = graph.tensors[t]
        if tensor.is_constant or tensor.is_variable:
            continue
        signature = _indices(subgraph.tensors[t].shapeSignature)
        if min(tensor.shape, default=1) < 1 or min(signature[1:], default=1) < 1:
            raise UnsupportedModelError(
                f"tensor '{tensor.label}' has the dynamic shape {list(signature or tensor.shape)}; "
                "give the Keras model a fixed input size and convert it again"
            )


def _offsets(plan: bytes, num_tensors: int) -> tuple[int, ...]:
    """OfflineMemoryAllocation is int32 version, subgraph, number of tensors, one offset a tensor."""
    words = np.frombuffer(plan[: len(plan) // 4 * 4], "<i4")
    if len(words) < 3 or words[2] != num_tensors or len(words) < 3 + num_tensors:
        raise UnsupportedModelError(
            f"{OFFLINE_METADATA} does not hold one offset for each of the model's {num_tensors} tensors"
        )
    return tuple(words[3 : 3 + num_tensors].tolist())


def _contents(buffer: schema.BufferT) -> bytes:
    return b"" if buffer.data is None else bytes(buffer.data)


def _indices(values: Iterable[int] | None) -> tuple[int, ...]:
    return () if values is None else tuple(int(v) for v in values)


def _text(name: bytes | str | None) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name or ""
