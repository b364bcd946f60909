"""What building the Keras layer of any op of a `.tflite` takes: its maps so far, real weights, names, refusals.

In: a ModelGraph. Out: Keras tensors. Which layer stands for which op says layers_of_ops.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.layer_names import layer_names, op_place
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.keras_bridge.to_tflite import keras

ACTIVATIONS = {"NONE": None, "RELU": "relu", "RELU6": "relu6", "RELU_N1_TO_1": "hard_tanh"}

Wrap = Callable[[Op, Any], Any]
Observe = Callable[[Tensor, Any], Any]


def keras_kernel(op: Op, weights: np.ndarray) -> np.ndarray:
    """Weights of a convolution or fully connected op in the layout of the Keras layer that stands for it.

    Args:
      op: the op.
      weights: any dtype, [O, Kh, Kw, I], depthwise [Kh, Kw, O] or [1, Kh, Kw, O], fully connected [O, I].
    """
    if op.traits.is_depthwise:
        return weights.reshape(*weights.shape[-3:-1], -1, op.depth_multiplier)
    return np.moveaxis(weights, 0, -1)


class LayerBuilder:
    """A Keras model in the making, and what every op asks of its graph.

    Attributes:
      graph: of the `.tflite`.
      observe: as of `keras_from_graph`.
      values: tensor index -> Keras tensor, of what is built already.
    """

    def __init__(self, graph: ModelGraph, wrap: Wrap, observe: Observe) -> None:
        self.graph = graph
        self._wrap = wrap
        self.observe = observe
        self._layer_names = layer_names(graph)
        self._taken: set[str] = set()
        self.values: dict[int, Any] = {}

    def refuse(self, op: Op, reason: str) -> UnsupportedModelError:
        """The refusal of an op, to raise."""
        return UnsupportedModelError(f"{op_place(self.graph, op)} cannot become part of a Keras model: {reason}")

    def tensor(self, op: Op, position: int) -> Tensor:
        """Input `position`, or the output for -1."""
        index = op.outputs[0] if position < 0 else op.inputs[position]
        return self.graph.tensors[index]

    def source(self, op: Op, position: int = 0) -> Any:
        """Values of a map that the op reads."""
        if self.tensor(op, position).index not in self.values:
            raise self.refuse(op, f"its input '{self.tensor(op, position).label}' is no feature map")
        return self.values[self.tensor(op, position).index]

    def sources(self, op: Op) -> list[Any]:
        """Values of all its inputs."""
        return [self.source(op, position) for position in range(len(op.inputs))]

    def filter(self, op: Op) -> np.ndarray:
        """Real weights of a convolution or fully connected op, float32 in its shape; their channels' axis is the
        op's, whatever they say."""
        values = self.constant(op, 1, axis=op.traits.weight_axis)
        assert values is not None
        return values

    def constant(self, op: Op, position: int, *, axis: int = 0) -> np.ndarray | None:
        """Real values, float32 in its shape, of a constant input, or its stored indices; None where there is none.

        Args:
          op, position: which.
          axis: of the channels, where they have a scale each.
        """
        if position >= len(op.inputs) or op.inputs[position] < 0:
            return None
        tensor = self.tensor(op, position)
        if tensor.data is None:
            raise self.refuse(op, f"its input '{tensor.label}' is not constant")
        return _real(tensor, axis)

    def constant_operand(self, op: Op) -> tuple[int, list[float]] | None:
        """Position and real values, one or one a channel, of the constant that an op of two operands has, if any."""
        found = next((i for i in (0, 1) if self.tensor(op, i).data is not None), None)
        if found is None:
            return None
        values = self.constant(op, found)
        assert values is not None
        if values.size not in (1, values.shape[-1]):
            raise self.refuse(op, f"its constant has the shape {list(values.shape)}; supported is one value a channel")
        return found, values.ravel().tolist()

    def layer(self, op: Op, kind: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """A layer that is called after the op's layer."""
        return kind(*arguments, name=self.name(self.tensor(op, -1)), **keywords)

    def weighted(self, op: Op, layer: Any, x: Any) -> Any:
        """Calls a layer that was given the op's weights."""
        bias = self.constant(op, 2)
        layer.build(x.shape)
        layer.set_weights([keras_kernel(op, self.filter(op)), np.zeros(layer.bias.shape) if bias is None else bias])
        return self._wrap(op, layer)(x)

    def activated(self, op: Op, y: Any) -> Any:
        """The fused activation of an op whose layer has none."""
        name = ACTIVATIONS[op.activation]
        return y if name is None else self.layer(op, keras.layers.Activation, name)(y)

    def name(self, tensor: Tensor) -> str:
        """A free name for the layer that makes a tensor, after the one that it had in Keras."""
        wanted = re.sub(r"[^\w.-]+", "_", self._layer_names.get(tensor.name, tensor.label)).strip("_") or "layer"
        name, number = wanted, 1
        while name in self._taken:
            name, number = f"{wanted}_{number}", number + 1
        self._taken.add(name)
        return name


def _real(tensor: Tensor, axis: int) -> np.ndarray:
    """Dequantised values, float32; the stored ones where the tensor has no scale."""
    assert tensor.data is not None
    if not tensor.scales:
        return np.asarray(tensor.data)
    scales, zeros = np.array(tensor.scales, np.float64), np.array(tensor.zero_points, np.float64)
    channels_last = (np.moveaxis(tensor.data, axis, -1) - zeros) * scales
    return np.moveaxis(channels_last, -1, axis).astype(np.float32)
