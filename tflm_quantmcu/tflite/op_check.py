"""Refuses ops on which TFLM ends the process, or whose result nobody can know, before TFLM is given the model.

In: the object tree of a whole file. Out: nothing, or UnsupportedModelError that names the op and the tensor. What TFLM
refuses in its own words is left to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.stage.custom_ops import PREFIX
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.axis_check import misfit
from tflm_quantmcu.tflite.shape_check import mistyped, unfilled
from tflm_quantmcu.tflite.subgraph_check import check_subgraphs
from tflm_quantmcu.tflite.value_check import misplaced

_BUILTINS = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
_OPTIONS = {value: name for name, value in vars(schema.BuiltinOptions).items() if not name.startswith("_")}
# Ops whose options TFLM follows, or divides by, even where they are absent; windows of no size compute nothing.
_NEEDS_OPTIONS = {
    "IF": "IfOptions",
    "WHILE": "WhileOptions",
    "CALL_ONCE": "CallOnceOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"), "Pool2DOptions"),
}
# Of others whose options count where they are there.
_MAY_HAVE_OPTIONS = {
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
    "CONCATENATION": "ConcatenationOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "GATHER": "GatherOptions",
    "GELU": "GeluOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "PACK": "PackOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SPLIT": "SplitOptions",
    "SPLIT_V": "SplitVOptions",
    "SQUEEZE": "SqueezeOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "UNPACK": "UnpackOptions",
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD"), "ReducerOptions"),
}
# Weights' outputs stand here; their bias is the input behind them.
_OUTPUT_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
_BIASES = {
    schema.TensorType.INT8: ("INT32", {schema.TensorType.INT32}),
    schema.TensorType.INT16: ("INT32 or INT64", {schema.TensorType.INT32, schema.TensorType.INT64}),
}
# Inputs that ops outside of graph/op_kinds.py have, which rewriting takes for granted.
_NUM_INPUTS = {
    kind: count
    for count, kinds in {
        2: "ARG_MAX ARG_MIN BATCH_MATMUL BROADCAST_TO CUMSUM DIV EQUAL EXPAND_DIMS FILL FLOOR_DIV FLOOR_MOD GATHER "
        "GATHER_ND GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND LOGICAL_OR MAXIMUM MEAN MINIMUM MIRROR_PAD MUL "
        "NOT_EQUAL PAD POW PRELU REDUCE_MAX REDUCE_MIN REDUCE_PROD RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 "
        "SPLIT SUB SUM TRANSPOSE",
        3: "BATCH_TO_SPACE_ND PADV2 SELECT SELECT_V2 SLICE SPACE_TO_BATCH_ND SPLIT_V TRANSPOSE_CONV",
        4: "STRIDED_SLICE",
    }.items()
    for kind in kinds.split()
}
_NUM_OPTIONAL = {"TRANSPOSE_CONV": 1}
# Ops without a first input; that of a patch stage may come from a reader.
_SOURCES = frozenset({"CALL_ONCE", "VAR_HANDLE", f"{PREFIX}PATCH_STAGE"})
SINKS = frozenset({"ASSIGN_VARIABLE", "CALL_ONCE"})
# TFLM's int8 softmax brings its input to Q5.26.
_SOFTMAX_FRACTION_BITS = 26
# Bits that TFLM's sums shift their inputs left by.
_SUM_SHIFTS = {schema.TensorType.INT8: 20, schema.TensorType.INT16: 15}
# Of a sum's output multiplier; some kernels compute it in float32, where less is 0.
_LEAST_MULTIPLIER = 2.0**-100


def kind_of(code: schema.OperatorCodeT) -> str:
    """The name of an op's kind: the schema's, or a custom op's own."""
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    kind = _BUILTINS.get(builtin, f"BUILTIN_{builtin}")
    return (code.customCode or b"").decode("utf-8", "replace") if kind == "CUSTOM" else kind


def check_ops(model: schema.ModelT) -> None:
    """Checks every op of every subgraph; indices are known to be in range.

    Raises:
      UnsupportedModelError: options that are named and not there, or missing where TFLM needs them; scales on which
        TFLM's kernels end the process; a tensor that is read before anything writes it; subgraphs that run themselves.
    """
    for graph in model.subgraphs:
        known = {int(t) for t in graph.inputs} | {t for t, x in enumerate(graph.tensors) if _has_values(model, x)}
        for index, op in enumerate(graph.operators or ()):
            kind = kind_of(model.operatorCodes[op.opcodeIndex])
            place = _place(kind, graph, op, index)
            if not _is_foreign(model.operatorCodes[op.opcodeIndex]):
                _check_reads(graph, op, known, place)
                _check_ends(kind, op, place)
                _check_writes(model, graph, op, place)
                _check_bias(kind, graph, op, place)
            _check_options(kind, op, place)
            if kind in _VALUE_CHECKS:
                _check_counts(kind, op, place)
                sources = [graph.tensors[t] for t in op.inputs if t >= 0]
                targets = [graph.tensors[t] for t in op.outputs]
                _VALUE_CHECKS[kind](op.builtinOptions, sources, targets, place)
            tensors = graph.tensors
            contradiction = unfilled(kind, op, tensors) or misfit(model, kind, op, tensors)
            contradiction = contradiction or misplaced(model, kind, op, tensors) or mistyped(kind, op, tensors)
            if contradiction:
                raise UnsupportedModelError(f"{place} {contradiction}{_of_open_batch(op, tensors)}")
            known.update(int(t) for t in op.outputs)
        for t in graph.outputs:
            if t not in known:
                raise UnsupportedModelError(f"the output '{_label(graph.tensors[t])}' is written by no op")
    check_subgraphs(model, [kind_of(code) for code in model.operatorCodes])


def _of_open_batch(op: schema.OperatorT, tensors: Sequence[schema.TensorT]) -> str:
    """The way out where shapes disagree for TensorFlow's converter wrote those of a model without a batch size."""
    signatures = [tensors[t].shapeSignature for t in (*op.inputs, *op.outputs) if t >= 0]
    if not any(signature is not None and len(signature) and signature[0] < 0 for signature in signatures):
        return ""
    return (
        "; the file leaves its batch open: give the Keras model itself, or convert what "
        "model.export(folder, input_signature=[keras.InputSpec((1, ...))]) wrote"
    )


def _is_foreign(code: schema.OperatorCodeT) -> bool:
    """A custom op of others may be handed memory to write to, such as an accelerator's scratch."""
    return bool(code.customCode) and not code.customCode.startswith(PREFIX.encode())


def _has_values(model: schema.ModelT, tensor: schema.TensorT) -> bool:
    """Whether a tensor has values before any op has run: constants, states, and what has no elements."""
    data = model.buffers[tensor.buffer].data
    is_empty = tensor.shape is not None and 0 in tensor.shape
    return (data is not None and len(data) > 0) or bool(tensor.isVariable) or is_empty


def _check_reads(graph: schema.SubGraphT, op: schema.OperatorT, known: set[int], place: str) -> None:
    for t in op.inputs:
        if t >= 0 and t not in known:
            raise UnsupportedModelError(
                f"{place} reads '{_label(graph.tensors[t])}', which is no input, has no values in the file and is "
                "written by no op before it"
            )


def _check_ends(kind: str, op: schema.OperatorT, place: str) -> None:
    """Refuses an op that lacks an input or an output that its kind has."""
    if kind not in _SOURCES and not any(t >= 0 for t in op.inputs[:1]):
        raise UnsupportedModelError(f"{place} has no first input")
    needed = _NUM_INPUTS.get(kind, 0)
    at_most = needed + _NUM_OPTIONAL.get(kind, 0) if needed else len(op.inputs)
    if sum(t >= 0 for t in op.inputs[:needed]) < needed or len(op.inputs) > at_most:
        raise UnsupportedModelError(f"{place} has inputs {[int(t) for t in op.inputs]}; it needs {needed}")
    if kind not in SINKS and not len(op.outputs):
        raise UnsupportedModelError(f"{place} has no output")


def _check_writes(model: schema.ModelT, graph: schema.SubGraphT, op: schema.OperatorT, place: str) -> None:
    for tensor in (graph.tensors[t] for t in op.outputs):
        data = model.buffers[tensor.buffer].data
        if data is not None and len(data):
            raise UnsupportedModelError(f"{place} writes '{_label(tensor)}', which has values in the file")


def _check_bias(kind: str, graph: schema.SubGraphT, op: schema.OperatorT, place: str) -> None:
    """TFLM reads a bias as what the input's type takes, one value an output channel."""
    if kind not in _OUTPUT_AXES or len(op.inputs) < 3 or min(op.inputs[:3]) < 0:
        return
    source, weights, bias = (graph.tensors[t] for t in op.inputs[:3])
    if source.type not in _BIASES or weights.shape is None or len(weights.shape) <= _OUTPUT_AXES[kind]:
        return
    names, types = _BIASES[source.type]
    count = math.prod(() if bias.shape is None else map(int, bias.shape))
    if bias.type not in types:
        raise UnsupportedModelError(f"{place} has a bias of another type than {names}")
    if count != weights.shape[_OUTPUT_AXES[kind]]:
        shapes = [[int(d) for d in tensor.shape] for tensor in (weights, *(graph.tensors[t] for t in op.outputs[:1]))]
        raise UnsupportedModelError(
            f"{place} has weights of shape {shapes[0]} and a bias of [{count}] values for an output of shape "
            f"{shapes[-1]}"
        )


def _check_options(kind: str, op: schema.OperatorT, place: str) -> None:
    for type_, options in ((op.builtinOptionsType, op.builtinOptions), (op.builtinOptions2Type, op.builtinOptions2)):
        if type_ and options is None:
            raise UnsupportedModelError(f"the .tflite file is damaged: {place} says that it has options and has none")
    needed = _NEEDS_OPTIONS.get(kind)
    may_have = _MAY_HAVE_OPTIONS.get(kind)
    if may_have and op.builtinOptionsType and _OPTIONS.get(op.builtinOptionsType) != may_have:
        raise UnsupportedModelError(f"{place} has options of another op")
    if needed and (op.builtinOptions is None or _OPTIONS.get(op.builtinOptionsType) != needed):
        raise UnsupportedModelError(f"{place} lacks its {needed}")


def _check_counts(kind: str, op: schema.OperatorT, place: str) -> None:
    needed = 2 if _VALUE_CHECKS[kind] is _check_sum else 1
    if sum(t >= 0 for t in op.inputs) < needed or not len(op.outputs):
        raise UnsupportedModelError(f"{place} has {len(op.inputs)} inputs and {len(op.outputs)} outputs")


def _check_block(options: Any, _: list[Any], __: list[Any], place: str) -> None:
    if options.blockSize < 1:
        raise UnsupportedModelError(f"{place} has blocks of size {options.blockSize}; it must be at least 1")


def _check_softmax(options: Any, sources: list[Any], _: list[Any], place: str) -> None:
    for source in sources[:1]:
        if source.type != schema.TensorType.INT8:
            continue
        (scale, *_), beta = _scales(source) or (0.0,), getattr(options, "beta", 1.0)
        if not scale * beta * 2**_SOFTMAX_FRACTION_BITS > 1:
            raise UnsupportedModelError(
                f"{place} reads '{_label(source)}' with scale {scale:.3g}, too fine for TFLM's "
                f"softmax (needed is more than 2^-{_SOFTMAX_FRACTION_BITS} / beta): are the weights trained?"
            )


def _check_sum(_: Any, sources: list[Any], targets: list[Any], place: str) -> None:
    """TFLM divides all by twice the larger input scale, and wants each multiplier between 0 and 1."""
    tensors = [*sources[:2], *targets[:1]]
    shift = _SUM_SHIFTS.get(tensors[-1].type)
    if shift is None:
        return
    scales = [(_scales(t) or (0.0,))[0] for t in tensors]
    is_usable = all(math.isfinite(s) and s > 0 for s in scales)
    if not is_usable or not _LEAST_MULTIPLIER < 2 * max(scales[:-1]) / (2**shift * scales[-1]) < 1:
        raise UnsupportedModelError(
            f"{place} has scales {', '.join(f'{s:.3g}' for s in scales[:-1])} of its inputs and {scales[-1]:.3g} of "
            f"'{_label(tensors[-1])}'; TFLM needs scales above 0 and an output that is less than 2^{shift - 1} "
            "times finer than its inputs"
        )


_VALUE_CHECKS: dict[str, Callable[[Any, list[Any], list[Any], str], None]] = {
    "SOFTMAX": _check_softmax,
    "LOG_SOFTMAX": _check_softmax,
    **dict.fromkeys(("SPACE_TO_DEPTH", "DEPTH_TO_SPACE"), _check_block),
    **dict.fromkeys(("ADD", "SUB", "SQUARED_DIFFERENCE"), _check_sum),
}


def _scales(tensor: Any) -> tuple[float, ...]:
    quantization = tensor.quantization
    return () if quantization is None or quantization.scale is None else tuple(map(float, quantization.scale))


def _place(kind: str, graph: schema.SubGraphT, op: schema.OperatorT, index: int) -> str:
    output = f" '{_label(graph.tensors[op.outputs[0]])}'" if len(op.outputs) else ""
    return f"{kind}{output} (op {index})"


def _label(tensor: schema.TensorT) -> str:
    """The first of a fused op's joined names."""
    return (tensor.name or b"").decode(errors="replace").split(";")[0]
