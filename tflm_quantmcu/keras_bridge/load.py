"""Models that TensorFlow or Keras wrote, as Keras models: `.keras`, `.h5` and SavedModel folders."""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import inspect
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.keras_bridge.keras_quietly import keras, quiet, tf
from tflm_quantmcu.keras_bridge.to_tflite import cause_of

# Of a SavedModel's signatures: TensorFlow's and Keras' default.
_SIGNATURES = ("serving_default", "serve")
# Whether Python code that is stored in a file may run.
_is_unsafe = contextvars.ContextVar("is_unsafe", default=False)
_UNKNOWN_CLASS = re.compile(r"(?:Could not locate class|Unknown layer:) '\w+'")
# What a text of Keras' is about -> the way out.
_WAYS_OUT = (
    (
        ("automatically infer the shape of the Lambda", "Exception encountered when calling Lambda"),
        "its Python code runs, but uses names that the file does not hold, as those of imports, or has a shape that "
        "Keras cannot infer: give the Lambda output_shape, make it a layer of your own that --import names, or convert "
        "the model in Python, where it was built",
    ),
    (
        ("No model config",),
        "it holds weights alone: build the model, model.load_weights(path) and model.save('m.keras')",
    ),
    (
        ("Could not interpret",),
        "a function in it cannot be loaded, such as a lambda in an initializer: give it a name and --import MODULE "
        "that defines it, or convert the model in Python, where it was built",
    ),
    (
        ("Lambda", "lambda"),
        "it holds Python code in a Lambda layer: give --unsafe_lambda if you trust the file, in Python load it with "
        "keras.models.load_model(path, safe_mode=False)",
    ),
    (
        ("Could not locate", "Unknown layer", "from_config()", "get_config()"),
        "its own classes are not known: give --import MODULE that defines them, in Python load it with "
        "keras.models.load_model(path, custom_objects=...)",
    ),
)


def load_keras(path: str | os.PathLike[str]) -> keras.Model:
    """Loads a `.keras` file, a legacy `.h5` or a SavedModel folder, not compiled.

    A SavedModel becomes a model of one layer, its default signature; of several inputs, by the signature's names.

    Raises:
      UsageError: no such file.
      UnsupportedModelError: Keras cannot load it: another format, layers that it does not know, or a SavedModel without
        a default signature or its inputs.
    """
    if not Path(path).exists():
        raise UsageError(f"{path} cannot be read: there is no such file")
    with quiet():
        try:
            return _load_saved_model(path) if Path(path).is_dir() else _load_file(path)
        except UnsupportedModelError:
            raise
        except Exception as error:  # Keras raises many kinds
            text = str(error)
            unknown = _UNKNOWN_CLASS.search(text)
            cause = (unknown[0] if unknown else cause_of(error)).rstrip(".")
    ways = [way for marks, way in _WAYS_OUT if any(mark in text for mark in marks)]
    raise UnsupportedModelError("; ".join([f"{path} cannot be loaded by Keras: {cause}", *ways[:1]]))


def _load_file(path: str | os.PathLike[str]) -> keras.Model:
    legacy = {"DepthwiseConv2D": _LegacyDepthwiseConv2D} if Path(path).suffix == ".h5" else None
    return keras.models.load_model(path, custom_objects=legacy, compile=False, safe_mode=not _is_unsafe.get())


def _load_saved_model(path: str | os.PathLike[str]) -> keras.Model:
    signatures = tf.saved_model.load(os.fspath(path)).signatures
    name = next((name for name in _SIGNATURES if name in signatures), None)
    if name is None:
        raise UnsupportedModelError(f"{path} has no signature {' or '.join(_SIGNATURES)}; write it with model.export")
    sources = {
        source: keras.Input(batch_shape=tuple(spec.shape), dtype=spec.dtype.name, name=source)
        for source, spec in signatures[name].structured_input_signature[1].items()
    }
    if not sources:
        raise UnsupportedModelError(f"signature {name} of {path} has no inputs")
    layer = _Signature if len(sources) > 1 else keras.layers.TFSMLayer
    x = sources if len(sources) > 1 else next(iter(sources.values()))
    outputs = layer(os.fspath(path), call_endpoint=name)(x)
    # A signature gives its outputs by name, an only one too.
    is_only = isinstance(outputs, dict) and len(outputs) == 1
    return keras.Model(x, next(iter(outputs.values())) if is_only else outputs)


class _Signature(keras.layers.TFSMLayer):
    """A signature of several inputs, which it takes by name."""

    def call(self, inputs: dict[str, Any]) -> Any:
        return self._reloaded_obj.signatures[self.call_endpoint](**inputs)


class _LegacyDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Keras 2 stored `groups`, which was always 1 and which Keras 3 refuses."""

    def __init__(self, *args: Any, groups: int = 1, **kwargs: Any) -> None:
        del groups
        super().__init__(*args, **kwargs)


@contextlib.contextmanager
def user_code(modules: Sequence[str] = (), *, unsafe_lambda: bool = False) -> Iterator[None]:
    """A block in which `load_keras` knows the classes and functions of the user's modules.

    Args:
      modules: names, looked for in the working folder too.
      unsafe_lambda: Python code that is stored in a file may run.

    Raises:
      UsageError: a module cannot be imported.
    """
    objects = {name: value for module in modules for name, value in _objects_of(module).items()}
    token = _is_unsafe.set(unsafe_lambda)
    try:
        with keras.saving.custom_object_scope(objects):
            yield
    finally:
        _is_unsafe.reset(token)


def _objects_of(module: str) -> dict[str, Any]:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = vars(importlib.import_module(module))
    except Exception as error:  # the user's code raises what it likes
        raise UsageError(f"--import {module} failed: {type(error).__name__}: {error}") from None
    return {name: value for name, value in found.items() if inspect.isclass(value) or inspect.isfunction(value)}
