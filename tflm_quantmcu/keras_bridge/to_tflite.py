"""Keras model to full-integer int8 `.tflite`, by Keras' own export and TensorFlow's own converter.

In: a built Keras model with one input, and representative inputs. Out: the file's bytes. The SavedModel in
between is exported for batch 1 and the inputs' own size, so that no shape is left to compute at run time.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.runtime.native_stderr import capture_native_stderr
from tflm_quantmcu.runtime.samples import check_samples, digest

try:
    with capture_native_stderr():  # TensorFlow tells of the GPUs that it does not find
        import keras
        import tensorflow as tf
except ModuleNotFoundError as error:
    raise UsageError(
        f"Keras models need TensorFlow, and {error.name} is not installed: pip install 'tflm_quantmcu[keras]'"
    ) from None

INPUT_TYPES = ("int8", "uint8", "float32")
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
    check_representative_data(model, representative_data)
    x = np.asarray(representative_data).astype(np.float32)
    spec = keras.InputSpec(shape=(1, *x.shape[1:]), dtype="float32", name=input_name(model))
    with _quiet(), tempfile.TemporaryDirectory() as folder:
        try:
            _export(model, spec, folder)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.as_dtype(input_type)
            converter.inference_output_type = tf.as_dtype(input_type)
            converter.representative_dataset = lambda: ([sample[None]] for sample in x)
            return converter.convert()
        except Exception as error:  # Keras and TensorFlow raise many kinds
            raise UnsupportedModelError(
                f"the Keras model '{model.name}' cannot become an int8 .tflite: {_reason(error)}"
            ) from None


def _export(model: keras.Model, spec: keras.InputSpec, folder: str) -> None:
    """Writes the SavedModel of what `model.predict` computes.

    `keras.Model.export` names no training phase, so that each layer falls back on its own default for it. `predict`
    says False wherever the model can be told, and the model tells its layers.
    """
    phase = {"training": False} if "training" in inspect.signature(model.call).parameters else {}

    def serve(*args: Any) -> Any:
        return model(*args, **phase)

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", serve, [spec])
    archive.write_out(folder, verbose=False)


def input_name(model: keras.Model) -> str | None:
    """The input layer's name; that of an input tensor changes when a model is saved and loaded."""
    inputs = getattr(model, "inputs", None)
    history = getattr(inputs[0], "_keras_history", None) if inputs else None
    return history.operation.name if history else None


def check_representative_data(model: keras.Model, representative_data: np.ndarray) -> None:
    """Refuses data that are no inputs of the model, before anything slow begins.

    Raises:
      UsageError: not real values [N, ...] of the model's input shape, or none.
      UnsupportedModelError: the model has more than one input.
    """
    inputs = getattr(model, "inputs", None) or ()
    if len(inputs) > 1:
        raise UnsupportedModelError(f"the Keras model '{model.name}' has {len(inputs)} inputs; supported is 1")
    x = np.asarray(representative_data)
    declared = inputs[0].shape[1:] if inputs else (None,) * max(0, x.ndim - 1)
    if len(declared) == x.ndim - 1:
        declared = tuple(found if d is None else d for d, found in zip(declared, x.shape[1:], strict=True))
    check_samples(x, Tensor(0, "input", (1, *declared), "float32"), name="representative_data")


def weights_sha256(model: keras.Model) -> str:
    """SHA-256 of all weights, in hexadecimal: a model that is saved and loaded has the same one."""
    return digest(*model.get_weights())


def load_keras(path: str | os.PathLike[str]) -> keras.Model:
    """Loads a `.keras` file or a legacy `.h5`, not compiled.

    Raises:
      UsageError: no such file.
      UnsupportedModelError: Keras cannot load it: another format, or layers that it does not know.
    """
    if not Path(path).is_file():
        raise UsageError(f"{path} cannot be read: there is no such file")
    legacy = {"DepthwiseConv2D": _LegacyDepthwiseConv2D} if Path(path).suffix == ".h5" else None
    with _quiet():
        try:
            return keras.models.load_model(path, custom_objects=legacy, compile=False)
        except Exception as error:  # Keras raises many kinds
            raise UnsupportedModelError(f"{path} cannot be loaded by Keras: {_reason(error)}") from None


class _LegacyDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Keras 2 stored `groups`, which was always 1 and which Keras 3 refuses."""

    def __init__(self, *args: Any, groups: int = 1, **kwargs: Any) -> None:
        del groups
        super().__init__(*args, **kwargs)


def _reason(error: Exception) -> str:
    """The line of Keras' or TensorFlow's text that says what failed; Keras puts a line a layer around it."""
    lines = [line.strip() for line in _COLOUR.sub("", str(error)).splitlines()]
    told = [line for line in lines if line and not _AROUND.match(line)]
    return told[0] if told else type(error).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Keras' and TensorFlow's progress lines to themselves; what they raise still says what failed."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            capture_native_stderr(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
