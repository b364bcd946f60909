"""Samples with labels, by which plans are judged: read first, fitted to the model once that is known."""

from __future__ import annotations

import os
from typing import Union

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.runtime.samples import load_samples, to_model_input

Path = Union[str, "os.PathLike[str]"]


def read_labelled(
    data: tuple[np.ndarray, np.ndarray] | Path, flag: str = "--evaluation_data"
) -> tuple[np.ndarray, np.ndarray]:
    """Samples [N, ...] and their labels [N], each of the type that it has, before the model is known.

    Raises:
      UsageError: no such file, or no labels; the sentence names it or `flag`.
    """
    x, y = data if isinstance(data, tuple) else load_samples(data, None)
    if y is None or len(x) != len(y):
        raise UsageError(f"{flag} has no label for each sample: it needs the key 'y' [N] beside 'x'")
    return np.asarray(x), np.asarray(y)


def labelled_inputs(
    data: tuple[np.ndarray, np.ndarray], graph: ModelGraph, flag: str = "--evaluation_data"
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [N, ...] of the model's type and their labels [N], of what `read_labelled` gave.

    Raises:
      UsageError: they do not fit the model; the sentence names `flag`.
    """
    x, y = data
    return to_model_input(x, graph.tensors[graph.inputs[0]], name=flag), y
