"""Names that TensorFlow's scopes do not take stand aside while a model is exported, and come back in its `.tflite`."""

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


@contextlib.contextmanager
def legal_names(model: keras.Model) -> Iterator[Mapping[str, str]]:
    """Within the block the model and its layers have names that TensorFlow takes; then their own again.

    Yields:
      Name within the block -> the layer's own, of those that have another.
    """
    renamed = [layer for layer in model._flatten_layers() if not _SCOPE.fullmatch(layer.name)]
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


def restore_names(converted: bytes, own: Mapping[str, str]) -> bytes:
    """The `.tflite` with the layers' own names in its tensors' names; the same bytes where there are none."""
    if not own:
        return converted
    model = ModelT.InitFromPackedBuf(converted)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.name = restore_text(tensor.name.decode(), own)
    return write_model(model)


def restore_text(text: str, own: Mapping[str, str]) -> str:
    """A text of TensorFlow's with the layers' own names."""
    for stand_in, name in own.items():
        text = text.replace(stand_in, name)
    return text
