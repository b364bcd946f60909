"""Keras' argmax and argmin as TFLite has them, while a model is exported.

Keras orders -0.0 below 0.0 first, by an operation on bits that TFLite lacks. An int8 map has one zero.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from tflm_quantmcu.keras_bridge.keras_quietly import keras, tf

_NAMES = ("argmax", "argmin")


@contextlib.contextmanager
def plain_arg_max() -> Iterator[None]:
    """A block in which `keras.ops.argmax` and `argmin` are TensorFlow's, on whatever Keras runs them elsewhere."""
    module = keras.src.backend.numpy  # Keras has no public way
    own = {name: getattr(module, name) for name in _NAMES if hasattr(module, name)}
    for name in own:
        setattr(module, name, _plain(getattr(tf, name)))
    try:
        yield
    finally:
        for name, function in own.items():
            setattr(module, name, function)


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """TensorFlow's function as Keras calls it: without an axis over all values."""

    def arg(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        x = tf.convert_to_tensor(x)
        found = function(tf.reshape(x, [-1]) if axis is None else x, axis=axis or 0, output_type=tf.int32)
        if not keepdims:
            return found
        return tf.reshape(found, [1] * len(x.shape)) if axis is None else tf.expand_dims(found, axis)

    return arg
