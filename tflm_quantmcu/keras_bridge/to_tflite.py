"""Keras model to full-integer int8 `.tflite`, by Keras' own export and TensorFlow's own converter.

In: a built Keras model with one input, and representative inputs. Out: the file's bytes. The SavedModel in
between is exported for batch 1 and the inputs' own size, so that no shape is left to compute at run time.
"""

from __future__ import annotations

import inspect
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.keras_bridge.export_names import legal_names, output_layers, restore_names, restore_text
from tflm_quantmcu.keras_bridge.export_types import float32_types
from tflm_quantmcu.keras_bridge.keras_quietly import keras, quiet, tf
from tflm_quantmcu.keras_bridge.layer_remedies import abort_remedy, integer_remedy, refusal_remedy
from tflm_quantmcu.keras_bridge.native_converter import SAVED_MODEL, ConverterAborted, convert_in_child, start_child
from tflm_quantmcu.keras_bridge.padded_blocks import pads_of_zero_points
from tflm_quantmcu.keras_bridge.plain_arg_max import plain_arg_max
from tflm_quantmcu.keras_bridge.tiled_upsamplings import resize_in_place_of_tiles
from tflm_quantmcu.keras_bridge.wide_transposes import narrow_transposes
from tflm_quantmcu.runtime.samples import check_samples, digest

__all__ = [
    "check_representative_data",
    "inference_call",
    "input_name",
    "keras",
    "keras_to_int8",
    "several_inputs_to_int8",
    "tf",
    "weights_sha256",
]

INPUT_TYPES = ("int8", "uint8", "float32")
# What Keras says where a model's own code looks for a layer by name.
_NO_SUCH_LAYER = "No such layer"
# Of Keras' messages: escape sequences of terminals, and what stands around the cause.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_AROUND = re.compile(r"Exception encountered when calling |Arguments received by |• ")


def keras_to_int8(model: keras.Model, representative_data: np.ndarray, *, input_type: str = "int8") -> bytes:
    """Converts a model; the same model and data give the same bytes.

    Args:
      model: built, with one input.
      representative_data: [N, ...] real values as the model was trained; the ranges of all feature maps are
        taken from them.
      input_type: of the file's inputs and outputs: int8, uint8 or float32.

    Raises:
      UsageError: data that do not fit the model, or another input type.
      UnsupportedModelError: Keras cannot export the model or TensorFlow cannot quantise it; the sentence has
        their own words.
    """
    if input_type not in INPUT_TYPES:
        raise UsageError(f"input_type is {input_type}; supported are {', '.join(INPUT_TYPES)}")
    _check_backend()
    check_representative_data(model, representative_data)
    x = np.asarray(representative_data).astype(np.float32)
    start_child()
    return _exported(model, lambda: _convert(model, x, input_type), _batch_remedy(model))


def several_inputs_to_int8(model: keras.Model, arrays: Sequence[np.ndarray]) -> bytes:
    """`keras_to_int8` of a model with several inputs, int8 at its ends.

    Args:
      model: built.
      arrays: float32 [N, ...] of each input, in the model's order.

    Raises:
      UnsupportedModelError: as of `keras_to_int8`.
    """
    _check_backend()
    start_child()
    return _exported(model, lambda: _convert_several(model, arrays))


def _exported(model: keras.Model, convert: Callable[[], bytes], remedy: str = "", *, all_layers: bool = True) -> bytes:
    """What `convert` makes of the model, with Keras' names.

    Args:
      model: as given.
      convert: called while its layers have names that TensorFlow takes.
      remedy: of a failure that nothing else is known of.
      all_layers: see `legal_names`.

    Raises:
      UnsupportedModelError: what the export or the converter says.
    """
    with quiet(), float32_types(model), plain_arg_max(), legal_names(model, all_layers=all_layers) as own:
        try:
            return restore_names(convert(), own, output_layers(model))
        except UsageError:
            raise
        except ConverterAborted as error:
            reason = f"TensorFlow's converter ended by {error}; {abort_remedy(model)}"
        except Exception as error:  # Keras and TensorFlow raise many kinds
            reason = refusal_remedy(model, str(error)) or cause_of(error) + remedy
    if all_layers and _NO_SUCH_LAYER in reason:
        return _exported(model, convert, remedy, all_layers=False)
    told = restore_text(reason, own)
    raise UnsupportedModelError(f"the Keras model '{model.name}' cannot become an int8 .tflite: {told}")


def _convert_several(model: keras.Model, arrays: Sequence[np.ndarray]) -> bytes:
    """The inputs are called x0, x1, ... in between, so that their order does not matter."""
    names = [f"x{i}" for i in range(len(arrays))]
    specs = [
        keras.InputSpec(shape=(1, *x.shape[1:]), dtype="float32", name=name)
        for name, x in zip(names, arrays, strict=True)
    ]
    structure = getattr(model, "_inputs_struct", names)
    call = inference_call(model)
    with tempfile.TemporaryDirectory() as folder:
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serve", lambda *xs: call(keras.tree.pack_sequence_as(structure, xs)), specs)
        archive.write_out(str(Path(folder) / SAVED_MODEL), verbose=False)
        data = convert_in_child(Path(folder), dict(zip(names, arrays, strict=True)))
    return pads_of_zero_points(narrow_transposes(resize_in_place_of_tiles(data)))


def _batch_remedy(model: keras.Model) -> str:
    """What a model that is built for several samples at a time may stumble over."""
    batch = model.inputs[0].shape[0] if getattr(model, "inputs", None) else None
    return "" if batch in (None, 1) else f"; it is built for batches of {batch}: build it with batch_size=1 or None"


def _check_backend() -> None:
    backend = keras.config.backend()
    if backend != "tensorflow":
        raise UnsupportedModelError(
            f"Keras runs on {backend} here, whose models TensorFlow's converter does not take: save the model with "
            "model.save('m.keras') and give that file to the command line, which loads it on TensorFlow, or set "
            "KERAS_BACKEND=tensorflow"
        )


def _convert(model: keras.Model, x: np.ndarray, input_type: str) -> bytes:
    spec = keras.InputSpec(shape=(1, *x.shape[1:]), dtype="float32", name=input_name(model))
    with tempfile.TemporaryDirectory() as folder:
        _export(model, spec, Path(folder) / SAVED_MODEL)
        data = convert_in_child(Path(folder), x, input_type=input_type)
    return pads_of_zero_points(narrow_transposes(resize_in_place_of_tiles(data)))


def _export(model: keras.Model, spec: keras.InputSpec, folder: Path) -> None:
    """Writes the SavedModel of what `model.predict` computes."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", inference_call(model), [spec])
    archive.write_out(str(folder), verbose=False)


def inference_call(model: keras.Model) -> Callable[[Any], Any]:
    """The model as a function of its input that computes what `model.predict` does.

    `keras.Model.export` names no training phase, so that each layer falls back on its own default for it. `predict`
    says False wherever the model can be told, and the model tells its layers.
    """
    phase = {"training": False} if "training" in inspect.signature(model.call).parameters else {}
    return lambda x: model(x, **phase)


def input_name(model: keras.Model) -> str | None:
    """The input layer's name; that of an input tensor changes when a model is saved and loaded."""
    inputs = getattr(model, "inputs", None)
    history = getattr(inputs[0], "_keras_history", None) if inputs else None
    return history.operation.name if history else None


def check_representative_data(model: keras.Model, representative_data: np.ndarray) -> None:
    """Refuses data that are no inputs of the model, before anything slow begins.

    Raises:
      UsageError: no float or uint8 array [N, ...] of the model's input shape, or none.
      UnsupportedModelError: the model has more than one input.
    """
    inputs = getattr(model, "inputs", None) or ()
    if len(inputs) > 1:
        raise UnsupportedModelError(f"the Keras model '{model.name}' has {len(inputs)} inputs; supported is 1")
    x = np.asarray(representative_data)
    if np.issubdtype(x.dtype, np.integer) and x.dtype != np.uint8:
        raise UsageError(f"representative_data is {x.dtype}; supported are float32 and uint8: {integer_remedy(model)}")
    declared = inputs[0].shape[1:] if inputs else (None,) * max(0, x.ndim - 1)
    if len(declared) == x.ndim - 1:
        declared = tuple(found if d is None else d for d, found in zip(declared, x.shape[1:], strict=True))
    check_samples(x, Tensor(0, "input", (1, *declared), "float32"), name="representative_data")


def weights_sha256(model: keras.Model) -> str:
    """SHA-256 of all weights, in hexadecimal: a model that is saved and loaded has the same one."""
    return digest(*model.get_weights())


def cause_of(error: Exception) -> str:
    """The line of Keras' or TensorFlow's text that says what failed; Keras puts a line a layer around it."""
    lines = [line.strip() for line in _COLOUR.sub("", str(error)).splitlines()]
    told = [line for line in lines if line and not _AROUND.match(line)]
    return told[0] if told else type(error).__name__
