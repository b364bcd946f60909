"""Runs a Keras model and its int8 `.tflite` on the same samples and says how they compare.

Beside the outputs it looks at the first batch normalisation: its statistics are all that a model still knows of the
data it was trained on, so they tell inputs in another range from those of training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.graph.keras_comparison import KerasComparison, OutputComparison, Spread
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.keras_bridge.to_tflite import inference_call, keras, quiet
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import to_model_input, to_real
from tflm_quantmcu.tflite.reader import read_model

# Enough to see a fault; calibration runs the int8 model on all samples.
MAX_COMPARED = 64
_BATCH = 8
MAX_SQNR_DB = 200.0  # of an output without an error


def compare_with_keras(model: keras.Model, converted: bytes, samples: np.ndarray) -> KerasComparison:
    """Compares on at most MAX_COMPARED samples, evenly among those given; the inputs' range on all of them.

    Args:
      model: built, with one input.
      converted: the full-integer int8 `.tflite` that was made of it.
      samples: [N, ...] real values as the model was trained.
    """
    graph = read_model(converted)
    source = graph.tensors[graph.inputs[0]]
    x = np.asarray(samples).astype(np.float32)
    chosen = x[np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_COMPARED)).astype(int))]
    with quiet(), _Watch(model) as watch:
        wanted = _run_keras(model, chosen)
    interpreter = Interpreter(converted)
    raw = interpreter.run_all(to_model_input(chosen, source))
    low, high = (float(to_real(np.array(q, source.dtype), source)) for q in _limits(source))
    # An int8 step around the ends rounds to them.
    half = (high - low) / 510
    return KerasComparison(
        num_samples=len(chosen),
        outputs=tuple(_compare_outputs(interpreter.outputs, raw, wanted, _output_names(model, len(wanted)))),
        data_range=(float(x.min()), float(x.max())),
        input_range=(low, high),
        saturated_share=float(np.mean((x < low - half) | (x > high + half))),
        spread=watch.spread,
    )


def _limits(tensor: Tensor) -> tuple[int, int]:
    limits = np.iinfo(tensor.dtype)
    return limits.min, limits.max


def _run_keras(model: keras.Model, x: np.ndarray) -> list[np.ndarray]:
    """Each output [N, values]."""
    fixed = model.inputs[0].shape[0] if getattr(model, "inputs", None) else None
    size = fixed or _BATCH
    parts: list[list[np.ndarray]] = []
    for batch in (x[i : i + size] for i in range(0, len(x), size)):
        # A model with a fixed batch takes no smaller one.
        full = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)]) if fixed else batch
        outputs = _served(model, full)
        if not fixed and any(y.shape[:1] != batch.shape[:1] for y in outputs):
            # An output for all samples together; the int8 model runs one at a time.
            each = [_served(model, sample) for sample in np.split(batch, len(batch))]
            outputs = [np.stack(values) for values in zip(*each, strict=True)]
        parts.append([y[: len(batch)].reshape(len(batch), -1).astype(np.float64) for y in outputs])
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def _served(model: keras.Model, x: np.ndarray) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(y) for y in keras.tree.flatten(inference_call(model)(x))]


def _output_names(model: keras.Model, count: int) -> Sequence[str]:
    """Those of the layers that give them, where the model tells."""
    histories = [getattr(t, "_keras_history", None) for t in getattr(model, "outputs", None) or ()]
    names = [history.operation.name for history in histories if history]
    return names if len(names) == count else [f"output {i}" for i in range(count)]


def _compare_outputs(
    tensors: Sequence[Tensor], raw: Sequence[np.ndarray], wanted: Sequence[np.ndarray], names: Sequence[str]
) -> Iterator[OutputComparison]:
    """Each int8 output beside the Keras output, not yet taken, of as many values that it is nearest to."""
    left = dict(enumerate(wanted))
    for tensor, q in zip(tensors, raw, strict=True):
        found = to_real(q, tensor).reshape(len(q), -1).astype(np.float64)
        errors = {i: float(np.sum((y - found) ** 2)) for i, y in left.items() if y.shape == found.shape}
        if errors:
            nearest = min(errors, key=errors.__getitem__)
            compare = _compare if tensor.scales or tensor.dtype == "float32" else _compare_indices
            yield compare(names[nearest], left.pop(nearest), found)


def _compare_indices(name: str, expected: np.ndarray, found: np.ndarray) -> OutputComparison:
    """Compares decisions that the model takes itself, such as those of an argmax."""
    return OutputComparison(
        name=name,
        sqnr_db=None,
        agreement=float(np.mean(expected == found)),
        num_classes=len(np.unique(expected)),
        num_values=expected.shape[1],
        is_constant=bool((found == found[0]).all()),
    )


def _compare(name: str, expected: np.ndarray, found: np.ndarray) -> OutputComparison:
    signal = float(np.sum((expected - expected.mean(axis=0)) ** 2))
    noise = float(np.sum((expected - found) ** 2))
    has_classes = expected.shape[1] > 1
    places = expected.argmax(axis=1)
    return OutputComparison(
        name=name,
        sqnr_db=None if signal == 0 else 10 * float(np.log10(signal / max(noise, signal / 10 ** (MAX_SQNR_DB / 10)))),
        agreement=float(np.mean(places == found.argmax(axis=1))) if has_classes else None,
        num_classes=len(np.unique(places)),
        num_values=expected.shape[1],
        is_constant=bool((found == found[0]).all()),
    )


class _Watch:
    """Sums what reaches the trained batch normalisation that is called first."""

    def __init__(self, model: keras.Model) -> None:
        layers = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
        self._layers = [layer for layer in layers if layer.built and _is_trained(layer)]
        self._first: keras.layers.BatchNormalization | None = None
        self._sums: list[np.ndarray] = []

    def __enter__(self) -> _Watch:
        for layer in self._layers:
            # Past Keras' bookkeeping of attributes, so that nothing stays.
            object.__setattr__(layer, "call", self._recording(layer, layer.call))
        return self

    def __exit__(self, *error: object) -> None:
        for layer in self._layers:
            object.__delattr__(layer, "call")

    def _recording(self, layer: keras.layers.BatchNormalization, call: Callable[..., Any]) -> Callable[..., Any]:
        def record(inputs: Any, *args: Any, **keywords: Any) -> Any:
            self._first = self._first or layer
            if layer is self._first:
                values = np.asarray(keras.ops.convert_to_numpy(inputs), np.float64)
                columns = np.moveaxis(values, layer.axis, -1).reshape(-1, values.shape[layer.axis])
                self._sums.append(
                    np.stack([np.full(columns.shape[1], len(columns)), columns.sum(0), (columns**2).sum(0)])
                )
            return call(inputs, *args, **keywords)

        return record

    @property
    def spread(self) -> Spread | None:
        """None where no trained batch normalisation was called."""
        if self._first is None:
            return None
        counts, sums, squares = np.sum(self._sums, axis=0)
        trained = np.asarray(keras.ops.convert_to_numpy(self._first.moving_variance), np.float64)
        variances = np.maximum(squares / counts - (sums / counts) ** 2, 0.0)
        lives = trained > 0  # dead channels have none
        ratio = float(np.median(np.sqrt(variances[lives] / trained[lives]))) if lives.any() else 1.0
        return Spread(self._first.name, ratio)


def _is_trained(layer: keras.layers.BatchNormalization) -> bool:
    mean, variance = (keras.ops.convert_to_numpy(v) for v in (layer.moving_mean, layer.moving_variance))
    return bool((mean != 0).any() or (variance != 1).any())
