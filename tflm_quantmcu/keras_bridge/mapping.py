"""Finds the tensors of an int8 `.tflite` in the Keras model that it was made from, by what they compute.

In: a functional or Sequential Keras model, its int8 graph and some samples. Out: for every int8 feature map the Keras
operation that gives the same values, for every filter the layer weights that it holds up to a factor a channel: so
fused activations, folded batch normalisation and renamed constants need no rules. Refuses models without a graph.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.keras_bridge.fake_quant import Kernel, kernel_rows
from tflm_quantmcu.keras_bridge.to_tflite import keras, tf
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import to_model_input, to_real
from tflm_quantmcu.tflite.model_file import AnyModel, ModelFile

# Share of the squared values that int8 may change; another map differs by about all of them.
MAP_TOLERANCE = 0.1
KERNEL_TOLERANCE = 0.02
# Errors so near each other may both be those of rounding: then the name decides.
_NEAR = 2.0


@dataclasses.dataclass(frozen=True, eq=False)
class KerasMapping:
    """Where the tensors of a graph are in a Keras model.

    Attributes:
      points: tensor index -> number of the operation's output, in the order in which `rebuild` shows them.
      kernels: tensor index of a filter -> the layer's kernel.
    """

    points: Mapping[int, int]
    kernels: Mapping[int, Kernel]


def require_graph(model: keras.Model) -> None:
    """Refuses models whose operations Keras cannot list.

    Raises:
      UnsupportedModelError: a subclass with a `call` of its own, or a model that is not built.
    """
    if not getattr(model, "outputs", None):
        raise UnsupportedModelError(
            f"the Keras model '{model.name}' is a subclass whose layers cannot be seen, or not built; supported are "
            "functional and Sequential models that are built"
        )


def rebuild(
    model: keras.Model,
    *,
    wrap: Callable[[Any], Any],
    observe: Callable[[int, str, Any], Any],
    input_shape: Sequence[int] | None = None,
) -> keras.Model:
    """The model again, of the same layers or what `wrap` puts in their place.

    Args:
      model: functional or Sequential, models inside it too.
      wrap: what stands for each operation; called once for each.
      observe: (number, operation's name, output) -> what goes on in place of the output; called in a fixed order.
      input_shape: of one sample; None keeps the model's own.

    Raises:
      UnsupportedModelError: see `require_graph`, of models inside it too.
    """
    return _Rebuild(wrap, observe).run(model, input_shape)


class _Rebuild:
    def __init__(self, wrap: Callable[[Any], Any], observe: Callable[[int, str, Any], Any]) -> None:
        self._wrap = wrap
        self._observe = observe
        self._numbers = itertools.count()
        self._done: dict[int, Any] = {}

    def run(self, model: keras.Model, input_shape: Sequence[int] | None = None) -> keras.Model:
        require_graph(model)
        # A Sequential model's `input` and `output` are those of where it is called.
        is_sequential = isinstance(model, keras.Sequential)
        ends = (model.inputs[0], model.outputs[0]) if is_sequential else (model.input, model.output)
        inputs = keras.tree.map_structure(lambda t: keras.Input(input_shape or t.shape[1:], dtype=t.dtype), ends[0])
        return keras.models.clone_model(
            keras.Model(*ends, name=model.name),
            input_tensors=inputs,
            clone_function=self._replace,
            call_function=self._call,
        )

    def _replace(self, operation: Any) -> Any:
        if id(operation) not in self._done:
            is_model = isinstance(operation, keras.Model)
            self._done[id(operation)] = self.run(operation) if is_model else self._wrap(operation)
        return self._done[id(operation)]

    def _call(self, operation: Any, *args: Any, **keywords: Any) -> Any:
        outputs = operation(*args, **keywords)
        if isinstance(operation, keras.Model):
            return outputs
        return keras.tree.map_structure(lambda x: self._observe(next(self._numbers), operation.name, x), outputs)


def map_model(model: keras.Model, converted: AnyModel, x: np.ndarray) -> KerasMapping:
    """Compares the values of all feature maps, and of all weights.

    Args:
      model: the Keras model.
      converted: the int8 `.tflite` made from it.
      x: a few inputs [N, ...] as the model was trained.

    Returns:
      What was found; maps inside a Keras operation, such as between the two convolutions of a SeparableConv2D, are not.

    Raises:
      UnsupportedModelError: see `rebuild`.
    """
    layers: list[Any] = []
    names: dict[int, str] = {}
    values: dict[int, np.ndarray] = {}

    def record(number: int, name: str, output: Any) -> Any:
        names[number] = name
        return Recorder(number, values.__setitem__)(output)

    def keep(operation: Any) -> Any:
        layers.append(operation)
        return operation

    rebuild(model, wrap=keep, observe=record, input_shape=x.shape[1:])(x.astype(np.float32), training=False)
    file = ModelFile.of(converted)
    maps = {t.index: (t, v) for t, v in _int8_values(file, x)}
    points = {index: _nearest(tensor, v, values, names) for index, (tensor, v) in maps.items()}
    return KerasMapping(
        points={t: point for t, point in points.items() if point is not None},
        kernels=_find_kernels(file.graph, [layer for layer in layers if isinstance(layer, keras.layers.Layer)]),
    )


class Recorder(keras.layers.Layer):
    """Hands on what it is given, and tells its values when they are there.

    Args:
      number: of the place in the model.
      tell: is called with it and the values, float64 [N, elements].
    """

    def __init__(self, number: int, tell: Callable[[int, np.ndarray], None]) -> None:
        super().__init__()
        self._number = number
        self._tell = tell

    def call(self, x: Any) -> Any:
        if tf.executing_eagerly():
            self._tell(self._number, np.asarray(x, np.float64).reshape(len(x), -1))
        return x

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape, x.dtype)


def _int8_values(file: ModelFile, x: np.ndarray) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Each int8 map that an op writes, and its real values [N, elements]."""
    graph = file.graph
    interpreter = Interpreter(file, preserve_all_tensors=True)
    tensors = [graph.tensors[t] for op in graph.ops for t in op.outputs]
    tensors = [t for t in tensors if t.dtype == "int8" and len(t.scales) == 1]
    runs: list[list[np.ndarray]] = []
    for sample in to_model_input(x, graph.tensors[graph.inputs[0]]):
        interpreter.invoke(sample)
        runs.append([to_real(interpreter.tensor(t.index), t).ravel() for t in tensors])
    return zip(tensors, (np.stack(v).astype(np.float64) for v in zip(*runs, strict=True)), strict=True)


def _nearest(
    tensor: Tensor, found: np.ndarray, values: Mapping[int, np.ndarray], names: Mapping[int, str]
) -> int | None:
    """The point whose values a map has, of several the one that its name tells of, else the first."""
    energy = float(np.sum(found**2)) or 1.0
    errors = {p: float(np.sum((v - found) ** 2)) / energy for p, v in values.items() if v.shape == found.shape}
    least = min(errors.values(), default=np.inf)
    if least > MAP_TOLERANCE:
        return None
    near = [p for p in errors if errors[p] <= _NEAR * least]
    return max(near, key=lambda p: (len(names[p]) if names[p] in tensor.label else 0, -errors[p]))


def _find_kernels(graph: ModelGraph, layers: Sequence[Any]) -> dict[int, Kernel]:
    kernels: dict[int, Kernel] = {}
    for op in graph.ops:
        if op.traits.has_filter and op.inputs[1] not in kernels and graph.tensors[op.inputs[1]].is_constant:
            kernel = _find_kernel(graph, op, layers, taken=list(kernels.values()))
            if kernel is not None:
                kernels[op.inputs[1]] = kernel
    return kernels


def _find_kernel(graph: ModelGraph, op: Op, layers: Sequence[Any], taken: Sequence[Kernel]) -> Kernel | None:
    """The kernel that the op's filter is, up to a factor a channel; of equal ones the first that is not taken."""
    weights = graph.tensors[op.inputs[1]]
    assert weights.data is not None
    is_depthwise = op.traits.is_depthwise
    q = weights.data.astype(np.float64)
    found = q.reshape(-1, q.shape[-1]).T if is_depthwise else q.reshape(len(q), -1)
    channel_axes = 2 if is_depthwise else 1
    used = {(id(k.layer), k.index) for k in taken}
    best: tuple[float, bool] = (KERNEL_TOLERANCE, True)
    kernel = None
    for layer in layers:
        for index, variable in enumerate(layer.weights):
            if len(variable.shape) <= channel_axes or np.prod(variable.shape) != found.size:
                continue
            rows = kernel_rows(np.asarray(variable, np.float64), channel_axes)
            if rows.shape != found.shape:
                continue
            factors = np.sum(rows * found, axis=1) / np.maximum(np.sum(rows**2, axis=1), 1e-300)
            error = float(np.sum((factors[:, None] * rows - found) ** 2) / max(np.sum(found**2), 1.0))
            rank = (round(error, 9), (id(layer), index) in used)
            if rank < best:
                best, kernel = rank, Kernel(layer, index, channel_axes, factors * np.asarray(weights.scales))
    return kernel
