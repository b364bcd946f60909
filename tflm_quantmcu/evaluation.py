"""Runs models on files of samples on TFLM: what the commands `run` and `evaluate` do."""

from __future__ import annotations

import io
import os
from typing import Union

import numpy as np

from tflm_quantmcu.converter.reader import read_model
from tflm_quantmcu.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.files import read_bytes, write_atomically
from tflm_quantmcu.runtime import Interpreter
from tflm_quantmcu.samples import load_samples, to_model_input
from tflm_quantmcu.types import Tensor

Path = Union[str, "os.PathLike[str]"]


def run_file(model: Path, inputs: Path, outputs: Path) -> str:
    """Writes the raw outputs of `model` for the samples in `inputs` as `y` of the .npz `outputs`; says what it did."""
    data = read_bytes(model, "--model")
    tensor = _input_of(data)
    x, _ = load_samples(inputs, tensor)
    y = Interpreter(data).run(to_model_input(x, tensor))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, y=y)
    write_atomically(outputs, buffer.getvalue())
    return f"ran {len(x)} samples; y {list(y.shape)} {y.dtype} -> {outputs}"


def evaluate_file(model: Path, data: Path) -> str:
    """Top-1 accuracy of `model` on TFLM for the labelled samples in `data`, in words."""
    model_bytes = read_bytes(model, "--model")
    tensor = _input_of(model_bytes)
    x, y = load_samples(data, tensor)
    if y is None:
        raise UsageError(f"{data} has no labels: evaluate needs the key 'y' [N]")
    right = accuracy(model_bytes, to_model_input(x, tensor), y)
    return f"accuracy {right:.4f} ({round(right * len(y))} of {len(y)})"


def _input_of(model: bytes) -> Tensor:
    inputs = read_model(model).input_tensors
    if len(inputs) != 1:
        raise UnsupportedModelError(f"the model has {len(inputs)} inputs; supported is 1")
    return inputs[0]


def accuracy(model: bytes, x: np.ndarray, y: np.ndarray) -> float:
    """Share of samples whose largest raw output is at the label's index.

    Args:
      x: [N, ...] in the model's input type.
      y: [N] labels.
    """
    scores = Interpreter(model).run(x)
    return float((scores.reshape(len(x), -1).argmax(axis=1) == y).mean())
