"""Types that stand aside while a model is exported: the int8 converter starts from float32 throughout."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tflm_quantmcu.keras_bridge.keras_quietly import keras

_HALF = ("float16", "bfloat16")
_IMAGE = ("uint8", "int8")


@contextlib.contextmanager
def float32_types(model: keras.Model) -> Iterator[None]:
    """A block in which layers of mixed precision compute in float32, and inputs of 8-bit integers take float32.

    Their weights are float32 anyway. What reads an 8-bit input makes it real first, so whole numbers that are given as
    float32 are the same to it.
    """
    layers = list(model._flatten_layers())
    half = [(layer, layer.dtype_policy) for layer in layers if layer.compute_dtype in _HALF]
    inputs = {id(t): t for layer in layers for t in getattr(layer, "inputs", None) or () if t.dtype in _IMAGE}
    kept = [(t, t.dtype) for t in inputs.values()]
    for layer, _ in half:
        layer.dtype_policy = "float32"
    for tensor, _ in kept:
        tensor._dtype = "float32"  # Keras has no public way
    try:
        yield
    finally:
        for layer, policy in half:
            layer.dtype_policy = policy
        for tensor, dtype in kept:
            tensor._dtype = dtype
