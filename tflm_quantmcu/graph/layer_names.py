"""Keras layer names of tensors, as far as their names in the `.tflite` tell; for people, nothing is decided by them.

TensorFlow names a tensor `model/layer/Operation` and joins the names of all that it fused by `;`. A map that a
convolution writes is called after the convolution's layer, also where it was fused with the batch normalisation and
activation behind it. Its weights have the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor

# TensorFlow numbers operations of one name: Conv2D1, convolution_2.
_WEIGHTED = re.compile(r"(Conv2D|convolution|depthwise|MatMul|BiasAdd)_?\d*")
_INNER_SCOPES = ("batchnorm", "separable_conv1d", "separable_conv2d")
PACKED_SUFFIX = "/packed"  # of a map that the converter stores below 8 bits, behind the name that it has at 8
_SERVING = "serving_default_"


def layer_names(graph: ModelGraph) -> dict[str, str]:
    """Tensor name -> layer name, for the feature maps and constants whose names tell."""
    names: dict[str, str] = {}
    for op in graph.ops:
        layer = _layer_of(graph.tensors[op.outputs[0]].name) if op.outputs else None
        for t in (*op.outputs, *op.inputs):
            if t >= 0:
                tensor = graph.tensors[t]
                own = _layer_of(tensor.name)
                name = (layer or own) if tensor.is_constant else own
                if name:
                    names.setdefault(tensor.name, name)
    return names


def layer_of(graph: ModelGraph, tensor: Tensor) -> str:
    """The layer that writes a tensor; the tensor's own label where its name tells none."""
    return graph.derived(layer_names).get(tensor.name, tensor.label)


def layers_of_ops(graph: ModelGraph, ops: Iterable[int]) -> tuple[str, ...]:
    """The layer of each op, by index, or the name of its output."""
    return tuple(layer_of(graph, graph.tensors[graph.ops[i].outputs[0]]) for i in ops)


def op_place(graph: ModelGraph, op: Op) -> str:
    """An op as messages call it: `CONV_2D 'conv2d_7' (op 4)`, by its layer."""
    if not op.outputs:
        return f"{op.kind} (op {op.index})"
    return f"{op.kind} '{layer_of(graph, graph.tensors[op.outputs[0]])}' (op {op.index})"


def _layer_of(name: str) -> str | None:
    name = name.removesuffix(PACKED_SUFFIX)
    parts = [part.split("/") for part in name.split(";") if part]
    for components in parts:
        # From the end: a layer may have an operation's name itself.
        for i in range(len(components) - 1, 0, -1):
            if _WEIGHTED.fullmatch(components[i]):
                return _path(_without_inner(components[:i]))
    first = parts[0] if parts else [name]
    if len(first) > 1:
        return _path(_without_inner(first[:-1]))
    if name.startswith(_SERVING):
        return name.removeprefix(_SERVING).rsplit(":", 1)[0]
    return None


def _without_inner(scopes: list[str]) -> list[str]:
    """The scopes without that of a part of a layer; one of the model's may have such a name itself."""
    is_inner = scopes[-1] in _INNER_SCOPES and (len(scopes) > 2 or scopes[-1] == _INNER_SCOPES[0])
    return scopes[:-1] if is_inner else scopes


def _path(scopes: list[str]) -> str:
    """The layer's path below the model's own name."""
    return "/".join(scopes[1:] or scopes)
