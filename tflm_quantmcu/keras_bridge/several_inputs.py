"""Keras models with several inputs: their representative data, put in the order of the inputs.

In: what the user has: a dict by input layer, a list with an array an input, or an .npz with a key an input. Out:
float32 arrays [N, ...], one an input.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.npz import open_npz
from tflm_quantmcu.keras_bridge.keras_quietly import keras


def input_names(model: keras.Model) -> list[str]:
    """Names of the input layers; empty of a model that does not say."""
    inputs = getattr(model, "inputs", None) or ()
    histories = [getattr(tensor, "_keras_history", None) for tensor in inputs]
    return [history.operation.name if history else f"x{i}" for i, history in enumerate(histories)]


def arrays_by_input(model: keras.Model, data: Any) -> tuple[np.ndarray, ...]:
    """Each input's samples, float32 [N, ...].

    Args:
      model: with several inputs.
      data: see above.

    Raises:
      UsageError: an input without samples, or inputs of different numbers of samples; the sentence names the inputs.
    """
    names = input_names(model)
    needed = f"the Keras model '{model.name}' has the inputs {', '.join(names)}; needed is"
    found = _read(data) if isinstance(data, (str, os.PathLike)) else data
    if isinstance(found, Mapping):
        missing = [name for name in names if name not in found]
        if missing:
            raise UsageError(f"{needed} a key for each, and '{missing[0]}' is missing")
        found = [found[name] for name in names]
    if not isinstance(found, Sequence) or len(found) != len(names):
        raise UsageError(
            f"{needed} a list with an array [N, ...] for each, a dict by these names, or an .npz with them"
        )
    arrays = tuple(np.asarray(values, np.float32) for values in found)
    counts = {len(values) if values.ndim else 0 for values in arrays}
    if len(counts) != 1 or counts == {0}:
        raise UsageError(f"{needed} as many samples for each, and at least one")
    return arrays


def _read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    with open_npz(path) as file:
        return {name: file[name] for name in file.headers}
