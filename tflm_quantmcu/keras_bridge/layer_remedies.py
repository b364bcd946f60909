"""What to change in a Keras model where TensorFlow's converter or TFLM does not take one of its layers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.keras_bridge.keras_quietly import keras

_ACTIVATION = "use relu, relu6, leaky_relu or hard_swish in its place, and train on"
_NORMALIZATION = "use BatchNormalization in its place, which becomes part of a convolution, and train on"
_REMEDIES = {
    **dict.fromkeys(("elu", "selu", "celu", "gelu", "mish", "softplus", "softsign", "log_sigmoid"), _ACTIVATION),
    **dict.fromkeys(
        ("layernormalization", "groupnormalization", "unitnormalization", "rmsnormalization", "spectralnormalization"),
        _NORMALIZATION,
    ),
}
_OTHERWISE = "replace it, or end the model before it and compute it in your program"
# Of the text of TensorFlow's converter: the op that it has no form for, and where the op comes from.
_NO_OP = re.compile(r"'tf\.(\w+)' op is neither")
_PLACE = re.compile(r'fused\["\w+:", "([^"@]+)')


def abort_remedy(model: keras.Model) -> str:
    """What may help where TensorFlow's converter ends its process."""
    layers = list(model._flatten_layers())
    loops = [layer for layer in layers if isinstance(layer, keras.layers.RNN) and not layer.unroll]
    if loops:
        return (
            f"{_several(loops)} runs a loop over time steps, which it cannot quantise: make the layer with "
            "unroll=True; the weights stay the same (model.set_weights)"
        )
    own = [layer for layer in layers if not isinstance(layer, keras.Model) and not _is_of_keras(layer)]
    if own:
        return f"does it take {_several(own)}? Try the model without it"
    return "try the model without its last layers to find the one that it does not take"


def integer_remedy(model: keras.Model) -> str:
    """What to do with integers that a model takes."""
    tables = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)]
    if not tables:
        return "give these numbers as float32"
    return (
        f"layer '{tables[0].name}' (Embedding) looks them up, with an op that TFLM lacks for int32; look them up in "
        "your program, and convert the layers behind it, which take float32 vectors"
    )


def refusal_remedy(model: keras.Model, text: str) -> str | None:
    """The sentence for what TensorFlow's converter says of an op that it has no form for; None for another text."""
    op = _NO_OP.search(text)
    if op is None:
        return None
    layer = next((found for place in _PLACE.findall(text) if (found := layer_at(model, place))), None)
    what = f"layer {_describe(layer)} uses" if layer else "the model uses"
    return f"{what} the operation {op[1]}, which TFLite does not have; {_remedy(layer)}"


def float_remedy(model: keras.Model, graph: ModelGraph) -> str | None:
    """The sentence for a map that TensorFlow's converter left in float32 inside the model; None where there is none."""
    op = next(_float_ops(graph), None)
    if op is None:
        return None
    layer = _layer_of(model, graph, op)
    what = f"layer {_describe(layer)}" if layer else "a layer"
    return f"TensorFlow's converter has no int8 form of {what} and leaves its {op.kind} in float32; {_remedy(layer)}"


def _float_ops(graph: ModelGraph) -> Iterator[Op]:
    for op in graph.ops:
        tensors = [graph.tensors[t] for t in op.outputs]
        if op.kind not in ("QUANTIZE", "DEQUANTIZE") and any(t.dtype == "float32" for t in tensors):
            yield op


def _layer_of(model: keras.Model, graph: ModelGraph, op: Op) -> Any:
    """The layer that an op's output is called after; the model's outputs are not, so then one of the op's kind."""
    found = layer_at(model, graph.tensors[op.outputs[0]].label)
    alike = [layer for layer in model._flatten_layers() if op.kind.lower() in _keys(layer)]
    return found or (alike[-1] if alike else None)


def layer_at(model: keras.Model, path: str) -> Any:
    """The innermost layer in a path of TensorFlow's scopes, which may number them; None if there is none."""
    layers = {layer.name: layer for layer in model._flatten_layers() if layer is not model}
    for scope in reversed(path.split("/")):
        for name in (scope, re.sub(r"_\d+$", "", scope)):
            if name in layers:
                return layers[name]
    return None


def _keys(layer: Any) -> list[str]:
    """How `_REMEDIES` may call it: by its class or its activation."""
    activation = getattr(layer, "activation", None)
    return [type(layer).__name__.lower(), str(getattr(activation, "__name__", "")).lower()]


def _remedy(layer: Any) -> str:
    return next((_REMEDIES[key] for key in _keys(layer) if key in _REMEDIES), _OTHERWISE)


def _describe(layer: Any) -> str:
    activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
    detail = "" if activation == "linear" or type(layer).__name__ == "Activation" else f", activation {activation}"
    return f"'{layer.name}' ({type(layer).__name__}{detail})"


def _several(layers: list[Any]) -> str:
    others = f" and {len(layers) - 1} more" if len(layers) > 1 else ""
    return f"layer {_describe(layers[0])}{others}"


def _is_of_keras(layer: Any) -> bool:
    return type(layer).__module__.partition(".")[0] == "keras"
