"""Says whether a model computes on int8, and if not, what it is and how to convert it so.

Parts that TFLM computes otherwise (float islands, 16-bit activations, integers) are taken as they are; whether TFLM can
run them is TFLM's to say.
"""

from __future__ import annotations

import math

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.layer_names import op_place
from tflm_quantmcu.graph.subgraphs import all_ops, parts_of
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.stage.custom_ops import PREFIX

_REMEDY = (
    "supported are int8 activations and weights: convert with a representative_dataset and "
    "target_spec.supported_ops = [TFLITE_BUILTINS_INT8]"
)
# Below it, a RELU6's 6 is not finite in steps of float32.
_MIN_SCALE = 1e-37
# What an integer model may carry beside int8 feature maps: indices, shapes, conditions.
_PLAIN = ("int8", "int32", "int64", "bool", "resource")
# What its ops with weights read, and its other ops where none has weights.
_INTEGER_MAPS = ("int8", "int16")
# Beside those of which the table of op kinds knows where their weights are.
_OTHER_WEIGHTED = ("SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BATCH_MATMUL")
# Custom ops that hold what a compiler made of others, for one accelerator: nothing in them can be read.
_COMPILED = {
    "ethos-u": ("an Ethos-U", "Vela"),
    "edgetpu-custom-op": ("an Edge TPU", "the Edge TPU compiler"),
    "NeutronGraph": ("an eIQ Neutron", "the Neutron converter"),
}


def require_source(graph: ModelGraph) -> None:
    """Accepts what can be calibrated, planned for and converted: full-integer models without ops of ours.

    Raises:
      UnsupportedModelError: as `require_full_integer`, or the model has been converted already.
    """
    for _, op in all_ops(graph):
        if op.kind.startswith(PREFIX):
            raise UnsupportedModelError(
                f"the model has been converted already (op {op.index} is {op.kind}); give the int8 model it came from"
            )
    require_full_integer(graph)


def require_full_integer(graph: ModelGraph) -> None:
    """Accepts models whose weights meet integer feature maps, int8 or 16 bits; other parts may be of any type.

    Raises:
      UnsupportedModelError: naming the op, the tensor, what kind of model it looks like and how to convert it instead.
    """
    _check_is_source(graph)
    if not graph.ops:
        raise UnsupportedModelError("the model has no ops, so there is nothing to convert")
    parts = parts_of(graph)
    if not any(map(_is_integer, parts)):
        for part in parts:
            _refuse_other(part)
    for part, op in all_ops(graph):
        for t in (*part.feature_maps(op), *op.outputs):
            _check_format(part, op, part.tensors[t])
        _check_weights(part, op)


def _is_integer(graph: ModelGraph) -> bool:
    """Whether an op with weights, or any op where none has weights, reads an integer map."""
    computing = [op for op in graph.ops if op.kind not in ("QUANTIZE", "DEQUANTIZE") and graph.feature_maps(op)]
    weighted = [op for op in computing if op.traits.bias_input or op.kind in _OTHER_WEIGHTED]
    return any(graph.tensors[graph.feature_maps(op)[0]].dtype in _INTEGER_MAPS for op in weighted or computing)


def _refuse_other(graph: ModelGraph) -> None:
    """Names the first op that no full-integer model has, if there is one."""
    for op in graph.ops:
        for t in (*graph.feature_maps(op), *op.outputs):
            tensor = graph.tensors[t]
            if not tensor.is_variable and not _may_be(graph, op, tensor):
                what = f"{tensor.dtype} '{tensor.label}'{_kind_of(graph, op, tensor)}"
                raise UnsupportedModelError(f"{op_place(graph, op)} computes on {what}; {_REMEDY}")


def _check_is_source(graph: ModelGraph) -> None:
    for part, op in all_ops(graph):
        if op.kind in _COMPILED:
            accelerator, compiler = _COMPILED[op.kind]
            raise UnsupportedModelError(
                f"{op_place(part, op)} was compiled for {accelerator}; give the .tflite from before {compiler}"
            )


def _may_be(graph: ModelGraph, op: Op, tensor: Tensor) -> bool:
    if tensor.dtype in _PLAIN:
        return True
    is_end = (op.kind == "QUANTIZE" and tensor.index in graph.inputs) or (
        op.kind in ("QUANTIZE", "DEQUANTIZE") and tensor.index in graph.outputs
    )
    return is_end and tensor.dtype in ("uint8", "float32")


def _kind_of(graph: ModelGraph, op: Op, tensor: Tensor) -> str:
    constants = [graph.tensors[t] for t in op.inputs if t >= 0 and graph.tensors[t].is_constant]
    if tensor.dtype == "uint8":
        return " (the uint8 quantisation of TensorFlow 1)"
    if tensor.dtype != "float32":
        return ""
    if op.kind == "DEQUANTIZE" and constants:
        return f" (weights stored as {constants[0].dtype}, arithmetic in float)"
    if any(c.dtype in ("int8", "int4") for c in constants):
        return " with integer weights (dynamic-range quantisation)"
    return " (a float model)"


def _check_format(graph: ModelGraph, op: Op, tensor: Tensor) -> None:
    if tensor.dtype != "int8" or len(tensor.scales) != 1:
        return
    scale, zero_point = tensor.scales[0], tensor.zero_points[0]
    if not (math.isfinite(scale) and scale >= _MIN_SCALE and -128 <= zero_point <= 127):
        raise UnsupportedModelError(
            f"{op_place(graph, op)} uses '{tensor.label}' with scale {scale} and zero point {zero_point}; "
            f"supported are scales from {_MIN_SCALE:.0e} and zero points from -128 to 127"
        )


def _check_weights(graph: ModelGraph, op: Op) -> None:
    if not op.traits.bias_input or graph.tensors[op.inputs[op.traits.map_input]].dtype not in _INTEGER_MAPS:
        return  # part of a float island
    weights = graph.tensors[op.inputs[1]]
    if weights.dtype not in ("int8", "int4"):
        raise UnsupportedModelError(f"{op_place(graph, op)} has {weights.dtype} weights '{weights.label}'; {_REMEDY}")
    if weights.is_constant and not all(math.isfinite(s) and s >= 0 for s in weights.scales):
        raise UnsupportedModelError(f"{op_place(graph, op)} has weights '{weights.label}' with a scale below 0")
    if op.traits.has_filter:
        _check_channels(graph, op, weights)


def _check_channels(graph: ModelGraph, op: Op, weights: Tensor) -> None:
    output = graph.tensors[op.outputs[0]]
    bias = [graph.tensors[t] for t in op.inputs[2:3] if t >= 0]
    axis = op.traits.weight_axis if weights.shape else 0
    if {weights.shape[axis : axis + 1 or None], *((b.num_elements,) for b in bias)} != {output.shape[-1:]}:
        raise UnsupportedModelError(
            f"{op_place(graph, op)} has weights of shape {list(weights.shape)} and a bias of "
            f"{[b.num_elements for b in bias]} values for an output of shape {list(output.shape)}"
        )
