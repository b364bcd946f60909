"""Which Keras layers stand for which op of a `.tflite`: one function an op, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tflm_quantmcu.graph.types import Op, Window
from tflm_quantmcu.keras_bridge.layer_builder import ACTIVATIONS, LayerBuilder
from tflm_quantmcu.keras_bridge.to_tflite import keras


def _padding(builder: LayerBuilder, op: Op, window: Window) -> dict[str, Any]:
    """Strides and padding of a convolution or pool, as Keras takes them."""
    source, output = builder.tensor(op, 0).shape[1:3], builder.tensor(op, -1).shape[1:3]
    kernel = (window.kernel_height, window.kernel_width)
    dilation = (window.dilation_height, window.dilation_width)
    strides = (window.stride_height, window.stride_width)
    if max(strides) > 1 and max(dilation) > 1:
        raise builder.refuse(op, f"it has strides {strides} and dilation {dilation}; Keras allows one of the two")
    valid = tuple((n - (k - 1) * d - 1) // s + 1 for n, k, d, s in zip(source, kernel, dilation, strides, strict=True))
    return {"strides": strides, "padding": "valid" if valid == output else "same"}


def _conv2d(builder: LayerBuilder, op: Op) -> Any:
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
        activation=ACTIVATIONS[op.activation],
        **_padding(builder, op, op.window),
    )
    return builder.weighted(op, layer, x)


def _depthwise_conv2d(builder: LayerBuilder, op: Op) -> Any:
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
        activation=ACTIVATIONS[op.activation],
        **_padding(builder, op, op.window),
    )
    return builder.weighted(op, layer, x)


def _fully_connected(builder: LayerBuilder, op: Op) -> Any:
    x, filter, output = builder.source(op), builder.filter(op), builder.tensor(op, -1)
    if output.num_elements != len(filter):
        raise builder.refuse(op, f"its output {list(output.shape)} is more than one row of {len(filter)}")
    if len(x.shape) != 2:
        x = builder.layer(op, keras.layers.Flatten)(x)
    layer = builder.layer(op, keras.layers.Dense, len(filter), activation=ACTIVATIONS[op.activation])
    y = builder.weighted(op, layer, x)
    return y if len(output.shape) == 2 else builder.layer(op, keras.layers.Reshape, output.shape[1:])(y)


def _add(builder: LayerBuilder, op: Op) -> Any:
    constant = builder.constant_operand(op)
    if constant is not None:
        y = builder.layer(op, keras.layers.Rescaling, 1.0, offset=constant[1])(builder.source(op, 1 - constant[0]))
    else:
        y = builder.layer(op, keras.layers.Add)(builder.sources(op))
    return builder.activated(op, y)


def _mul(builder: LayerBuilder, op: Op) -> Any:
    constant = builder.constant_operand(op)
    if constant is not None:
        y = builder.layer(op, keras.layers.Rescaling, constant[1])(builder.source(op, 1 - constant[0]))
    else:
        y = builder.layer(op, keras.layers.Multiply)(builder.sources(op))
    return builder.activated(op, y)


def _pool2d(builder: LayerBuilder, op: Op) -> Any:
    assert op.window is not None
    kinds = {"AVERAGE_POOL_2D": keras.layers.AveragePooling2D, "MAX_POOL_2D": keras.layers.MaxPooling2D}
    size = (op.window.kernel_height, op.window.kernel_width)
    pool = builder.layer(op, kinds[op.kind], size, **_padding(builder, op, op.window))
    return builder.activated(op, pool(builder.source(op)))


def _mean(builder: LayerBuilder, op: Op) -> Any:
    x, axes, output = builder.source(op), builder.constant(op, 1), builder.tensor(op, -1)
    assert axes is not None
    reduced = sorted({int(a) % len(x.shape) for a in axes.ravel()})
    if 0 in reduced:
        raise builder.refuse(op, "it is over the batch")
    keepdims = len(output.shape) == len(x.shape)
    if reduced == [1, 2] and len(x.shape) == 4:
        return builder.layer(op, keras.layers.GlobalAveragePooling2D, keepdims=keepdims)(x)
    return keras.ops.mean(x, axis=reduced, keepdims=keepdims)


def _pad(builder: LayerBuilder, op: Op) -> Any:
    x, value = builder.source(op), builder.constant(op, 2)
    if len(op.pads) != 4 or op.pads[0] != (0, 0) or op.pads[3] != (0, 0) or min(min(p) for p in op.pads) < 0:
        raise builder.refuse(op, f"it pads by {[list(p) for p in op.pads]}; supported are height and width")
    if value is not None and value.any():
        raise builder.refuse(op, f"it pads with {float(value.ravel()[0]):g}; supported is 0")
    return builder.layer(op, keras.layers.ZeroPadding2D, op.pads[1:3])(x)


def _reshape(builder: LayerBuilder, op: Op) -> Any:
    source, output = builder.tensor(op, 0), builder.tensor(op, -1)
    if (source.scales, source.zero_points) != (output.scales, output.zero_points):
        raise builder.refuse(op, "its input and output have different scales")
    return builder.layer(op, keras.layers.Reshape, output.shape[1:])(builder.source(op))


def _transpose(builder: LayerBuilder, op: Op) -> Any:
    order = builder.constant(op, 1)
    assert order is not None
    if order.ravel()[0] != 0:
        raise builder.refuse(op, f"it moves the batch: {order.tolist()}")
    return builder.layer(op, keras.layers.Permute, tuple(int(a) for a in order.ravel()[1:]))(builder.source(op))


def _concatenation(builder: LayerBuilder, op: Op) -> Any:
    axis = op.axis % len(builder.tensor(op, -1).shape)
    return builder.activated(op, builder.layer(op, keras.layers.Concatenate, axis=axis)(builder.sources(op)))


def _softmax(builder: LayerBuilder, op: Op) -> Any:
    x = builder.source(op)
    if op.beta != 1:
        x = builder.layer(op, keras.layers.Rescaling, op.beta)(x)
    return builder.layer(op, keras.layers.Softmax)(x)


def _activation(builder: LayerBuilder, op: Op) -> Any:
    names = {"LOGISTIC": "sigmoid", "TANH": "tanh", "ELU": "elu", "HARD_SWISH": "hard_swish"}
    name = names.get(op.kind) or ACTIVATIONS[op.kind]
    return builder.layer(op, keras.layers.Activation, name)(builder.source(op))


def _leaky_relu(builder: LayerBuilder, op: Op) -> Any:
    return builder.layer(op, keras.layers.LeakyReLU, op.alpha)(builder.source(op))


def _resize(builder: LayerBuilder, op: Op) -> Any:
    """Keras takes the pixel whose middle is nearest; other rules are that one where a map grows by whole factors."""
    source, output = (builder.tensor(op, position).shape[1:3] for position in (0, -1))
    grows_evenly = all(after % before == 0 for before, after in zip(source, output, strict=True))
    if op.align_corners or not (op.half_pixel_centers or grows_evenly):
        raise builder.refuse(op, f"from {source} to {output} it takes other pixels than those in the middle")
    return builder.layer(op, keras.layers.Resizing, *output, interpolation="nearest")(builder.source(op))


def _abs(builder: LayerBuilder, op: Op) -> Any:
    return keras.ops.abs(builder.source(op))  # no layer, but Keras saves it like one


def _gelu(builder: LayerBuilder, op: Op) -> Any:
    return keras.ops.gelu(builder.source(op), approximate=bool(op.options.get("approximate")))


def _identity(builder: LayerBuilder, op: Op) -> Any:
    return builder.source(op)


LAYERS: Mapping[str, Callable[[LayerBuilder, Op], Any]] = {
    "ABS": _abs,
    "ADD": _add,
    "CONCATENATION": _concatenation,
    "EXP": lambda builder, op: keras.ops.exp(builder.source(op)),
    "GELU": _gelu,
    "LOG": lambda builder, op: keras.ops.log(builder.source(op)),
    "NEG": lambda builder, op: keras.ops.negative(builder.source(op)),
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
