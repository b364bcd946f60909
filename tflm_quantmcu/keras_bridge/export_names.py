"""Keras' names through TensorFlow: a layer has a name of ours while a model is exported, its own in the `.tflite`.

TensorFlow's scopes do not take every name, number what is traced twice (`conv_1` of `conv`, though another layer may
have that name), and leave the outputs without any. A name of ours comes out of that with nothing lost.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping

from tflm_quantmcu.keras_bridge.keras_quietly import keras
from tflm_quantmcu.tflite.schema import ModelT
from tflm_quantmcu.tflite.writer import write_model

_SCOPE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.>-]*")
# Of no operation and no layer, whatever TensorFlow puts behind it.
_STAND_IN = "qmcu_name_{}_of_layer"
_NUMBERED = re.compile(r"(qmcu_name_\d+_of_layer)(?:_\d+(?![A-Za-z0-9]))?")
_NAMELESS = re.compile(r"(Partitioned|StatefulPartitioned)Call(_\d+)?:\d+")
_OUTPUT = re.compile(r"output_(\d+)")


@contextlib.contextmanager
def legal_names(model: keras.Model, *, all_layers: bool = True) -> Iterator[Mapping[str, str]]:
    """A block in which layers have names that TensorFlow takes and no two share; then their own again.

    Args:
      model: its layers' names change.
      all_layers: false: only of those that TensorFlow does not take, for models that look for a layer by its name when
        they are called.

    Yields:
      Name within the block -> the layer's own, of those that have another.
    """
    # The name of an input is not numbered, and callers give samples by it.
    renamed = [
        layer
        for layer in model._flatten_layers()
        if not _SCOPE.fullmatch(layer.name) or (all_layers and not isinstance(layer, keras.layers.InputLayer))
    ]
    own = {_STAND_IN.format(i): layer.name for i, layer in enumerate(renamed)}
    # TensorFlow calls its variables after the layers, as these were called when they were built.
    values = [variable._value for variable in model.variables]
    handles = [(v, v._handle_name) for v in values if not _SCOPE.fullmatch(v._handle_name.replace("/", ".")[:-2])]
    for layer, name in zip(renamed, own, strict=True):
        layer.name = name
    for i, (value, _) in enumerate(handles):
        value._handle_name = f"qmcu_variable_{i}:0"
    try:
        yield own
    finally:
        for layer, name in zip(renamed, own.values(), strict=True):
            layer.name = name
        for value, name in handles:
            value._handle_name = name


def output_layers(model: keras.Model) -> list[str]:
    """`model/layer` of each output, where the model tells its outputs' layers."""
    histories = [getattr(t, "_keras_history", None) for t in getattr(model, "outputs", None) or ()]
    return [f"{model.name}/{h.operation.name}" for h in histories if h] if all(histories) else []


def restore_names(converted: bytes, own: Mapping[str, str], outputs: list[str]) -> bytes:
    """The `.tflite` with the layers' own names in its tensors' names.

    Args:
      converted: as TensorFlow wrote it.
      own: as `legal_names` gave it.
      outputs: as `output_layers`, of the names within its block.
    """
    model = ModelT.InitFromPackedBuf(converted)
    for signature in model.signatureDefs or ():
        tensors = model.subgraphs[signature.subgraphIndex].tensors
        for output in signature.outputs:
            tensor, number = tensors[output.tensorIndex], _OUTPUT.fullmatch(output.name.decode())
            if number and int(number[1]) < len(outputs) and _NAMELESS.fullmatch(tensor.name.decode()):
                tensor.name = f"{outputs[int(number[1])]}/{output.name.decode()}".encode()
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.name = restore_text(tensor.name.decode(), own).encode()
    return write_model(model)


def restore_text(text: str, own: Mapping[str, str]) -> str:
    """A text of TensorFlow's with the layers' own names."""
    return _NUMBERED.sub(lambda found: own.get(found[1], found[0]), text)
