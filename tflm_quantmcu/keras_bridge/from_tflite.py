"""An int8 model's graph as an ordinary Keras model of real numbers, for what needs gradients and has no Keras source.

In: a ModelGraph. Out: a functional model of Keras' own layers that computes what the int8 model does, but for its
rounding: weights and biases are the dequantised ones, fused activations are the layers' own, QUANTIZE and DEQUANTIZE
are nothing. Its inputs and outputs are real values. Refuses ops that no Keras layer computes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.layer_names import layer_names, op_place
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor, Window
from tflm_quantmcu.keras_bridge.to_tflite import keras

_ACTIVATIONS = {"NONE": None, "RELU": "relu", "RELU6": "relu6", "RELU_N1_TO_1": "hard_tanh"}

Wrap = Callable[[Op, Any], Any]
Observe = Callable[[Tensor, Any], Any]


def keras_from_graph(
    graph: ModelGraph,
    *,
    wrap: Wrap = lambda op, layer: layer,
    observe: Observe = lambda tensor, x: x,
) -> keras.Model:
    """Builds the model.

    Args:
      graph: an int8 model.
      wrap: what stands for the layer, built and with its weights, of each convolution and fully connected op.
      observe: (map, its values) -> what goes on in place of a map that an op writes.

    Raises:
      UnsupportedModelError: an op that Keras has no layer for, or not with these parameters; the sentence names it.
    """
    return _Builder(graph, wrap, observe).model()


def keras_kernel(op: Op, weights: np.ndarray) -> np.ndarray:
    """Weights of a convolution or fully connected op in the layout of the Keras layer that stands for it.

    Args:
      op: the op.
      weights: any dtype, [O, Kh, Kw, I], depthwise [Kh, Kw, O] or [1, Kh, Kw, O], fully connected [O, I].
    """
    if op.traits.is_depthwise:
        return weights.reshape(*weights.shape[-3:-1], -1, op.depth_multiplier)
    return np.moveaxis(weights, 0, -1)


class _Builder:
    def __init__(self, graph: ModelGraph, wrap: Wrap, observe: Observe) -> None:
        self._graph = graph
        self._wrap = wrap
        self._observe = observe
        self._layer_names = layer_names(graph)
        self._taken: set[str] = set()
        self._values: dict[int, Any] = {}

    def model(self) -> keras.Model:
        graph = self._graph
        for t in graph.inputs:
            tensor = graph.tensors[t]
            self._values[t] = keras.Input(tensor.shape[1:], name=self._name(tensor))
        inputs = [self._values[t] for t in graph.inputs]
        for op in graph.ops:
            output = graph.tensors[op.outputs[0]]
            if op.kind not in _LAYERS or len(op.outputs) != 1:
                raise self.refuse(op, f"no Keras layer stands for it; supported are {', '.join(sorted(_LAYERS))}")
            y = _LAYERS[op.kind](self, op)
            if tuple(y.shape[1:]) != output.shape[1:]:
                raise self.refuse(op, f"Keras gives it the shape {list(y.shape[1:])}, not {list(output.shape[1:])}")
            self._values[output.index] = self._observe(output, y)
        outputs = [self._values[t] for t in graph.outputs]
        ends = [group[0] if len(group) == 1 else group for group in (inputs, outputs)]
        return keras.Model(*ends, name="from_tflite")

    def refuse(self, op: Op, reason: str) -> UnsupportedModelError:
        return UnsupportedModelError(f"{op_place(self._graph, op)} cannot become part of a Keras model: {reason}")

    def tensor(self, op: Op, position: int) -> Tensor:
        """Input `position`, or the output for -1."""
        index = op.outputs[0] if position < 0 else op.inputs[position]
        return self._graph.tensors[index]

    def source(self, op: Op, position: int = 0) -> Any:
        """Values of a map that the op reads."""
        if self.tensor(op, position).index not in self._values:
            raise self.refuse(op, f"its input '{self.tensor(op, position).label}' is no feature map")
        return self._values[self.tensor(op, position).index]

    def sources(self, op: Op) -> list[Any]:
        return [self.source(op, position) for position in range(len(op.inputs))]

    def filter(self, op: Op) -> np.ndarray:
        """Real weights of a convolution or fully connected op; their channels' axis is the op's, whatever they say."""
        values = self.constant(op, 1, axis=op.traits.weight_axis)
        assert values is not None
        return values

    def constant(self, op: Op, position: int, *, axis: int = 0) -> np.ndarray | None:
        """Real values of a constant input, the stored ones of an index; None where the op has none there.

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
        return kind(*arguments, name=self._name(self.tensor(op, -1)), **keywords)

    def weighted(self, op: Op, layer: Any, x: Any) -> Any:
        """Calls a layer that was given the op's weights."""
        bias = self.constant(op, 2)
        layer.build(x.shape)
        layer.set_weights([keras_kernel(op, self.filter(op)), np.zeros(layer.bias.shape) if bias is None else bias])
        return self._wrap(op, layer)(x)

    def activated(self, op: Op, y: Any) -> Any:
        """The fused activation of an op whose layer has none."""
        name = _ACTIVATIONS[op.activation]
        return y if name is None else self.layer(op, keras.layers.Activation, name)(y)

    def _name(self, tensor: Tensor) -> str:
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


def _padding(builder: _Builder, op: Op, window: Window) -> dict[str, Any]:
    """Strides and padding of a convolution or pool, as Keras takes them."""
    source, output = builder.tensor(op, 0).shape[1:3], builder.tensor(op, -1).shape[1:3]
    kernel = (window.kernel_height, window.kernel_width)
    dilation = (window.dilation_height, window.dilation_width)
    strides = (window.stride_height, window.stride_width)
    if max(strides) > 1 and max(dilation) > 1:
        raise builder.refuse(op, f"it has strides {strides} and dilation {dilation}; Keras allows one of the two")
    valid = tuple((n - (k - 1) * d - 1) // s + 1 for n, k, d, s in zip(source, kernel, dilation, strides, strict=True))
    return {"strides": strides, "padding": "valid" if valid == output else "same"}


def _conv2d(builder: _Builder, op: Op) -> Any:
    assert op.window is not None
    x, filter = builder.source(op), builder.filter(op)
    if filter.shape[3] != x.shape[3]:
        raise builder.refuse(op, f"it is grouped: {x.shape[3]} channels, filters of {filter.shape[3]}")
    layer = builder.layer(
        op,
        keras.layers.Conv2D,
        filter.shape[0],
        filter.shape[1:3],
        dilation_rate=(op.window.dilation_height, op.window.dilation_width),
        activation=_ACTIVATIONS[op.activation],
        **_padding(builder, op, op.window),
    )
    return builder.weighted(op, layer, x)


def _depthwise_conv2d(builder: _Builder, op: Op) -> Any:
    assert op.window is not None
    x, filter = builder.source(op), builder.filter(op)
    if op.window.stride_height != op.window.stride_width:
        strides = (op.window.stride_height, op.window.stride_width)
        raise builder.refuse(op, f"it has strides {strides}; Keras' depthwise convolution has equal ones")
    layer = builder.layer(
        op,
        keras.layers.DepthwiseConv2D,
        filter.shape[1:3],
        depth_multiplier=op.depth_multiplier,
        dilation_rate=(op.window.dilation_height, op.window.dilation_width),
        activation=_ACTIVATIONS[op.activation],
        **_padding(builder, op, op.window),
    )
    return builder.weighted(op, layer, x)


def _fully_connected(builder: _Builder, op: Op) -> Any:
    x, filter, output = builder.source(op), builder.filter(op), builder.tensor(op, -1)
    if output.num_elements != len(filter):
        raise builder.refuse(op, f"its output {list(output.shape)} is more than one row of {len(filter)}")
    if len(x.shape) != 2:
        x = builder.layer(op, keras.layers.Flatten)(x)
    layer = builder.layer(op, keras.layers.Dense, len(filter), activation=_ACTIVATIONS[op.activation])
    y = builder.weighted(op, layer, x)
    return y if len(output.shape) == 2 else builder.layer(op, keras.layers.Reshape, output.shape[1:])(y)


def _add(builder: _Builder, op: Op) -> Any:
    constant = builder.constant_operand(op)
    if constant is not None:
        y = builder.layer(op, keras.layers.Rescaling, 1.0, offset=constant[1])(builder.source(op, 1 - constant[0]))
    else:
        y = builder.layer(op, keras.layers.Add)(builder.sources(op))
    return builder.activated(op, y)


def _mul(builder: _Builder, op: Op) -> Any:
    constant = builder.constant_operand(op)
    if constant is not None:
        y = builder.layer(op, keras.layers.Rescaling, constant[1])(builder.source(op, 1 - constant[0]))
    else:
        y = builder.layer(op, keras.layers.Multiply)(builder.sources(op))
    return builder.activated(op, y)


def _pool2d(builder: _Builder, op: Op) -> Any:
    assert op.window is not None
    kinds = {"AVERAGE_POOL_2D": keras.layers.AveragePooling2D, "MAX_POOL_2D": keras.layers.MaxPooling2D}
    size = (op.window.kernel_height, op.window.kernel_width)
    pool = builder.layer(op, kinds[op.kind], size, **_padding(builder, op, op.window))
    return builder.activated(op, pool(builder.source(op)))


def _mean(builder: _Builder, op: Op) -> Any:
    x, axes, output = builder.source(op), builder.constant(op, 1), builder.tensor(op, -1)
    assert axes is not None
    reduced = sorted({int(a) % len(x.shape) for a in axes.ravel()})
    if 0 in reduced:
        raise builder.refuse(op, "it is over the batch")
    keepdims = len(output.shape) == len(x.shape)
    if reduced == [1, 2] and len(x.shape) == 4:
        return builder.layer(op, keras.layers.GlobalAveragePooling2D, keepdims=keepdims)(x)
    return keras.ops.mean(x, axis=reduced, keepdims=keepdims)


def _pad(builder: _Builder, op: Op) -> Any:
    x, value = builder.source(op), builder.constant(op, 2)
    if len(op.pads) != 4 or op.pads[0] != (0, 0) or op.pads[3] != (0, 0) or min(min(p) for p in op.pads) < 0:
        raise builder.refuse(op, f"it pads by {[list(p) for p in op.pads]}; supported are height and width")
    if value is not None and value.any():
        raise builder.refuse(op, f"it pads with {float(value.ravel()[0]):g}; supported is 0")
    return builder.layer(op, keras.layers.ZeroPadding2D, op.pads[1:3])(x)


def _reshape(builder: _Builder, op: Op) -> Any:
    source, output = builder.tensor(op, 0), builder.tensor(op, -1)
    if (source.scales, source.zero_points) != (output.scales, output.zero_points):
        raise builder.refuse(op, "its input and output have different scales")
    return builder.layer(op, keras.layers.Reshape, output.shape[1:])(builder.source(op))


def _transpose(builder: _Builder, op: Op) -> Any:
    order = builder.constant(op, 1)
    assert order is not None
    if order.ravel()[0] != 0:
        raise builder.refuse(op, f"it moves the batch: {order.tolist()}")
    return builder.layer(op, keras.layers.Permute, tuple(int(a) for a in order.ravel()[1:]))(builder.source(op))


def _concatenation(builder: _Builder, op: Op) -> Any:
    axis = op.axis % len(builder.tensor(op, -1).shape)
    return builder.activated(op, builder.layer(op, keras.layers.Concatenate, axis=axis)(builder.sources(op)))


def _softmax(builder: _Builder, op: Op) -> Any:
    x = builder.source(op)
    if op.beta != 1:
        x = builder.layer(op, keras.layers.Rescaling, op.beta)(x)
    return builder.layer(op, keras.layers.Softmax)(x)


def _activation(builder: _Builder, op: Op) -> Any:
    names = {"LOGISTIC": "sigmoid", "TANH": "tanh", "ELU": "elu", "HARD_SWISH": "hard_swish"}
    name = names.get(op.kind) or _ACTIVATIONS[op.kind]
    return builder.layer(op, keras.layers.Activation, name)(builder.source(op))


def _leaky_relu(builder: _Builder, op: Op) -> Any:
    return builder.layer(op, keras.layers.LeakyReLU, op.alpha)(builder.source(op))


def _resize(builder: _Builder, op: Op) -> Any:
    """Keras takes the pixel whose middle is nearest; other rules are that one where a map grows by whole factors."""
    source, output = (builder.tensor(op, position).shape[1:3] for position in (0, -1))
    grows_evenly = all(after % before == 0 for before, after in zip(source, output, strict=True))
    if op.align_corners or not (op.half_pixel_centers or grows_evenly):
        raise builder.refuse(op, f"from {source} to {output} it takes other pixels than those in the middle")
    return builder.layer(op, keras.layers.Resizing, *output, interpolation="nearest")(builder.source(op))


def _abs(builder: _Builder, op: Op) -> Any:
    return keras.ops.abs(builder.source(op))  # no layer, but Keras saves it like one


def _identity(builder: _Builder, op: Op) -> Any:
    return builder.source(op)


_LAYERS: Mapping[str, Callable[[_Builder, Op], Any]] = {
    "ABS": _abs,
    "ADD": _add,
    "CONCATENATION": _concatenation,
    "CONV_2D": _conv2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv2d,
    "FULLY_CONNECTED": _fully_connected,
    "MEAN": _mean,
    "MUL": _mul,
    "TRANSPOSE": _transpose,
    "LEAKY_RELU": _leaky_relu,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), _pool2d),
    **dict.fromkeys(("PAD", "PADV2"), _pad),
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), _reshape),
    **dict.fromkeys(("RELU", "RELU6", "RELU_N1_TO_1", "LOGISTIC", "TANH", "ELU", "HARD_SWISH"), _activation),
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE"), _identity),
    "SOFTMAX": _softmax,
}
