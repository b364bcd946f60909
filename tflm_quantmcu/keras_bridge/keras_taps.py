"""The float32 values that a Keras model has where an int8 model of it has feature maps.

In: a functional or Sequential Keras model, the graph made of it, samples. Out: values by the graph's tensor names. A
map is found by the layers that its name tells, of these the one whose values are nearest; else by its values alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.keras_bridge.mapping import MAP_TOLERANCE, Recorder, rebuild
from tflm_quantmcu.keras_bridge.to_tflite import keras


class KerasTaps:
    """Runs a Keras model and reads the outputs of its operations."""

    def __init__(self, model: keras.Model, graph: ModelGraph) -> None:
        """Rebuilds the model of its own layers.

        Raises:
          UnsupportedModelError: its layers cannot be seen.
        """
        self._values: dict[int, np.ndarray] = {}
        self._names: dict[int, str] = {}
        self._points: dict[str, int] | None = None
        self._graph = graph
        shape = graph.input_tensors[0].shape[1:]
        self._model = rebuild(model, wrap=lambda layer: layer, observe=self._observe, input_shape=shape)

    def _observe(self, number: int, name: str, output: Any) -> Any:
        self._names[number] = name
        return Recorder(number, self._values.__setitem__)(output)

    def run(self, x: np.ndarray, others: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Runs samples.

        Args:
          x: [N, ...] as the model was trained.
          others: tensor name -> real values [N, ...] of the int8 model; NaN where it has none.

        Returns:
          Tensor name -> (Keras' values, the int8 model's), both [N, elements], of the maps that Keras has.
        """
        self._values.clear()
        values = [np.asarray(x, np.float32)]
        structure = getattr(self._model, "_inputs_struct", values)
        self._model(keras.tree.pack_sequence_as(structure, values), training=False)
        flat = {name: other.reshape(len(other), -1) for name, other in others.items()}
        if self._points is None:
            self._points = self._matched(flat)
        return {name: (self._values[point], flat[name]) for name, point in self._points.items() if name in flat}

    def _matched(self, others: Mapping[str, np.ndarray]) -> dict[str, int]:
        """Tensor name -> point; of several maps that are nearest to one point, as a layer's output before and after its
        activation, the nearest has it."""
        errors: dict[int, tuple[float, int, str]] = {}
        for number, (name, found) in enumerate(others.items()):
            nearest = self._nearest(name, found)
            if nearest is not None:
                point, error = nearest
                errors[point] = min(errors.get(point, (np.inf, 0, "")), (error, number, name))
        return {name: point for point, (_, _, name) in errors.items()}

    def _nearest(self, name: str, found: np.ndarray) -> tuple[int, float] | None:
        """The operation whose output a map is, and how far off, as a share of the map's squared values."""
        seen = ~np.isnan(found)
        energy = float(np.sum(found[seen].astype(np.float64) ** 2)) or 1.0
        errors = {
            point: float(np.sum((values[seen] - found[seen]) ** 2)) / energy
            for point, values in self._values.items()
            if values.shape == found.shape
        }
        told = set(re.split(r"[/;]", name))
        named = [point for point in errors if self._names[point] in told]
        nearest = min(named or errors, key=errors.__getitem__, default=None)
        if nearest is None or (not named and errors[nearest] > MAP_TOLERANCE):
            return None
        return nearest, errors[nearest]
