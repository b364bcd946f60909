"""Runs models on files of samples on TFLM: what the commands `run` and `evaluate` do."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Union

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.base.files import read_bytes, write_atomically
from tflm_quantmcu.base.parallel import parallel_map
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import load_samples, to_model_input
from tflm_quantmcu.tflite.model_file import AnyModel, ModelFile

Path = Union[str, "os.PathLike[str]"]
CHUNK = 64  # samples that a process runs at once


def run_file(model: Path, inputs: Path, outputs: Path) -> str:
    """Writes the raw outputs of `model` for the samples in `inputs` into the .npz `outputs`; says what it did.

    One output is `y`; several are `y0`, `y1`, ... in the model's order.
    """
    file = ModelFile(read_bytes(model, "--model"))
    tensor = _input_of(file)
    x, _ = load_samples(inputs, tensor)
    values = Interpreter(file).run_all(to_model_input(x, tensor))
    named = {"y": values[0]} if len(values) == 1 else {f"y{i}": y for i, y in enumerate(values)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **named)
    write_atomically(outputs, buffer.getvalue())
    shapes = ", ".join(f"{name} {list(y.shape)} {y.dtype}" for name, y in named.items())
    return f"ran {len(x)} samples; {shapes} -> {outputs}"


def evaluate_file(model: Path, data: Path, *, n_jobs: int = -1, progress: bool = False) -> str:
    """Top-1 accuracy of `model` on TFLM for the labelled samples in `data`, in words.

    Args:
      model: file of a `.tflite`.
      data: an .npz with `x` [N, ...] and `y` [N].
      n_jobs, progress: as of `right_answers`.

    Raises:
      UsageError: a file cannot be read, or has no labels.
      UnsupportedModelError: the model has several inputs.
    """
    file = ModelFile(read_bytes(model, "--model"))
    tensor = _input_of(file)
    x, y = load_samples(data, tensor)
    if y is None:
        raise UsageError(f"{data} has no labels: evaluate needs the key 'y' [N]")
    (right,) = accuracies([file], to_model_input(x, tensor), y, n_jobs=n_jobs, progress=progress)
    return f"accuracy {right:.4f} ({round(right * len(y))} of {len(y)})"


def _input_of(model: ModelFile) -> Tensor:
    inputs = model.graph.input_tensors
    if len(inputs) != 1:
        raise UnsupportedModelError(
            f"the model has {len(inputs)} inputs; supported is 1: in Python qm.Interpreter(path).invoke([...]) takes "
            "one array for each"
        )
    return inputs[0]


def accuracies(
    models: Sequence[AnyModel], x: np.ndarray, y: np.ndarray, *, n_jobs: int = -1, progress: bool = False
) -> list[float]:
    """Shares, 0 to 1, of samples whose largest raw output of each model, run on TFLM, is at the label's index;
    arguments as of `right_answers`."""
    return [float(right.mean()) for right in right_answers(models, x, y, n_jobs=n_jobs, progress=progress)]


def right_answers(
    models: Sequence[AnyModel], x: np.ndarray, y: np.ndarray, *, n_jobs: int = -1, progress: bool = False
) -> list[np.ndarray]:
    """Whether each model is right on TFLM, bool [N]: whether a sample's largest raw output is at the label's index.

    Args:
      models: `.tflite` files; equal ones run once.
      x: [N, ...] in the models' input type.
      y: [N] labels.
      n_jobs: processes, as of `parallel.parallel_map`.
      progress: a bar on standard error.
    """
    chunks = np.array_split(np.arange(len(x)), -(-len(x) // CHUNK))
    distinct = {file.data: file for file in map(ModelFile.of, models)}
    tasks = [(model, x[chunk], y[chunk]) for model in distinct.values() for chunk in chunks]
    parts = list(parallel_map(_are_right, tasks, n_jobs=n_jobs, what="running on TFLM", progress=progress))
    wholes = [np.concatenate(parts[i : i + len(chunks)]) for i in range(0, len(parts), len(chunks))]
    right_of = dict(zip(distinct, wholes, strict=True))
    return [right_of[ModelFile.of(model).data] for model in models]


def _are_right(task: tuple[ModelFile, np.ndarray, np.ndarray]) -> np.ndarray:
    model, x, y = task
    scores = Interpreter(model).run(x)
    return np.asarray(scores.reshape(len(x), -1).argmax(axis=1) == y)
